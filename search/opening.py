"""From a configuration to an open search: its root, its ledger and its store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data import ImageData, PackedImages
from pruning import (
    LatencyLadder,
    Precision,
    StageFormatError,
    StageStore,
    StoreError,
)
from search.campaign.campaign import Campaign
from search.campaign.confirmation import Confirmation
from search.campaign.ledger import Ledger, open_ledger
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.front.cost import Pricing, shown
from search.front.hypervolume import Scale
from search.kept import to_record
from search.results.description import describe
from search.results.folder import ResultsFolder
from search.root import Root, origin_of
from search.samplers.by_name import sampler_maker
from search.samplers.space import SearchSpace
from search.workers.devices import Pool, PoolRequest, default_precision, describe_hardware
from search.workers.latency import measure_ladder
from search.workers.worker import WorkerPlan

_STALE = 8  # one proposal more is made by the same evidence for so many in flight
_LEAST_RATIO = 1.2  # of the root's latency to the narrowest network's; noise is some .02


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What a search consists of once its folder is open."""

    config: SearchConfig
    folder: ResultsFolder
    space: SearchSpace
    plan: WorkerPlan
    pricing: Pricing
    scale: Scale
    ledger: Ledger
    store: StageStore

    def campaign(self, ahead: int) -> Campaign:
        """Go on with the search, at most `ahead` trials at a time; see `Campaign`."""
        return Campaign(
            ledger=self.ledger,
            store=self.store,
            space=self.space,
            scale=self.scale,
            new_sampler=sampler_maker(
                self.config.sampler,
                self.space,
                self.scale,
                self.pricing.at,
                seed=self.config.seed,
                together=max(1, ahead // _STALE),
            ),
            trials=self.config.trial_budget,
            ahead=ahead,
            max_epochs=self.config.epoch_budget,
            early_stop=self.config.early_stop,
            stop_when_flat=self.config.stop_when_flat,
            cost=self.config.cost,
        )

    def confirmation(self, ahead: int) -> Confirmation:
        """The repeats that --confirm asks for, at most `ahead` at a time; see `Confirmation`."""
        return Confirmation(
            self.store,
            self.config.confirm,
            first_number=len(self.ledger),
            ahead=ahead,
            cost=self.config.cost,
        )


def pool_request(config: SearchConfig) -> PoolRequest:
    """Where a search is asked to run."""
    return PoolRequest(
        gpus=config.gpus,
        trials_per_gpu=config.trials_per_gpu,
        workers=config.workers,
        address=config.address,
    )


def open_search(
    config: SearchConfig,
    folder: ResultsFolder,
    data: ImageData,
    root: Root,
    pool: Pool,
) -> Search:
    """Open a folder's search, or make one of it. The caller holds the folder's lock.

    Raises:
        RefusedError: The search that lies there had other images, another recipe or root; or
            latency, its cost, hardly depends on the width.
    """
    earlier = folder.read() if folder.is_search() else None
    precision = config.precision or _usual_precision(pool, data, earlier)
    config = config.resolved(image_size=data.image_size, precision=precision, **root.settled)
    origin = origin_of(
        config,
        root.made_of,
        data_fingerprint=data.fingerprint,
        device_type=pool.device_type,
        precision=precision,
        kept=None if earlier is None else earlier.get("recipe"),
    )
    ladder = _ladder(config, root, data, pool, earlier)
    pricing = Pricing(
        name=config.cost,
        architecture=root.architecture,
        image_size=data.image_size,
        ladder=ladder,
    )
    scale = scale_of(pricing, len(data.classes))
    description = describe(
        to_record(config), data, origin, scale, describe_hardware(pool), ladder, earlier
    )
    if earlier is None:
        folder.write(description)  # before all else: what has no search.json is nobody's
    try:
        store = StageStore(folder.stages, repair=True)
    except StageFormatError as error:
        raise RefusedError(str(error)) from error
    if root.missing is not None and store.child(None, None) is None:
        raise RefusedError(root.missing)
    space = config.space()
    ledger = open_ledger(folder.ledger, space, store, config.cost)
    if earlier is not None:
        folder.write(description)  # after all that can be refused
    return Search(
        config=config,
        folder=folder,
        space=space,
        plan=WorkerPlan(
            images=PackedImages.of(data),
            architecture=root.architecture,
            origin=origin,
            checkpoint=root.tensors,
            trains_on=root.trains_on,
            ladder=ladder,
        ),
        pricing=pricing,
        scale=scale,
        ledger=ledger,
        store=store,
    )


def _usual_precision(pool: Pool, data: ImageData, earlier: Mapping[str, Any] | None) -> Precision:
    """The arithmetic of a search without --precision, which it then keeps.

    Searches from before it was kept have that which they began with.
    """
    if earlier is None:
        return default_precision(pool, data.image_size)
    device_type = earlier.get("hardware", {}).get("device_type")
    return "bf16" if device_type == "cuda" else "fp32"


def _ladder(
    config: SearchConfig,
    root: Root,
    data: ImageData,
    pool: Pool,
    earlier: Mapping[str, Any] | None,
) -> LatencyLadder | None:
    """What latencies to expect, measured once a search; None where they do not matter.

    Raises:
        RefusedError: They hardly depend on the width.
    """
    if config.cost != "latency":
        return None
    if earlier is not None:
        try:
            return LatencyLadder.from_json(earlier.get("latency"))
        except StoreError as error:
            raise RefusedError(f"search.json is damaged: {error}.") from error
    ladder = measure_ladder(pool, root.architecture, data.image_size)
    if ladder.at(0) * _LEAST_RATIO > ladder.root_ms:
        least, most = (shown(ms, "latency") for ms in (ladder.at(0), ladder.root_ms))
        raise RefusedError(
            f"On {ladder.device} the narrowest network takes {least} and the root {most}: that is "
            "hardly a gain.\nGive --cost macs, or a greater --image-size."
        )
    return ladder


def scale_of(pricing: Pricing, num_classes: int) -> Scale:
    """The axes of the trade-off between what can be pruned from a root."""
    return Scale(least_cost=pricing.at(0), root_cost=pricing.at(1), chance=1 / num_classes)
