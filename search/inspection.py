"""What is whole in a results folder, missing, damaged or superfluous."""

import shutil
import tempfile
from pathlib import Path

from pruning import StageStore, damage, stage_ids
from search.campaign.ledger import Ledger, Trial
from search.configuration import SearchConfig
from search.console import Console
from search.errors import LedgerError
from search.kept import from_record
from search.results.folder import ResultsFolder
from search.results.tables import candidates_csv, pareto_csv

_TABLES = {"candidates.csv": candidates_csv, "pareto.csv": pareto_csv}


def inspect(folder: ResultsFolder, console: Console) -> list[str]:
    """What is not as it should be in a results folder, a line each; changes nothing.

    Of a search that ended before its first network nothing is missing: --resume begins it again.

    Raises:
        RefusedError: No search lives there.
        LedgerError: Its ledger cannot be read.
    """
    config = from_record(folder.read()["config"])
    findings: list[str] = []
    if not folder.stages.is_dir():  # it is made before any of these
        made = (folder.ledger, *(folder.path / name for name in _TABLES))
        return ["stages/ is missing"] if any(path.exists() for path in made) else []
    damaged = {
        stage_id: reason
        for stage_id in stage_ids(folder.stages)
        if (reason := damage(folder.stages, stage_id)) is not None
    }
    findings += [f"damaged: {reason}" for reason in damaged.values()]
    store = StageStore(folder.stages, without=damaged)
    trials = _trials(folder.ledger, config)
    begun = bool(len(store) or damaged)
    if trials is None and begun:
        findings.append("study.db is missing; it is restored from the stages by --resume")
    findings += _unfinished_trials(store, trials or [])
    findings += _superfluous(folder, store)
    for name, table_of in _TABLES.items():
        present = folder.path / name
        text = present.read_text(encoding="utf-8") if present.is_file() else None
        if text != table_of(store, config.cost) and (begun or text is not None):
            findings.append(f"{name} is not what the stages give; --mend writes it anew")
    console.line(f"{len(store)} networks whole, {len(trials or [])} trials")
    return findings


def _trials(ledger: Path, config: SearchConfig) -> list[Trial] | None:
    """The trials of a ledger, read from a copy, since opening a database can change it."""
    if not ledger.is_file():
        return None
    with tempfile.TemporaryDirectory() as scratch:
        for part in ledger.parent.glob(f"{ledger.name}*"):
            shutil.copy2(part, scratch)
        copy = Path(scratch) / ledger.name
        try:
            return list(Ledger(copy, config.space(), config.cost))
        except LedgerError as error:
            raise LedgerError(str(error).replace(str(copy), str(ledger))) from error


def _unfinished_trials(store: StageStore, trials: list[Trial]) -> list[str]:
    findings = []
    for trial in trials:
        missing = len(trial.schedule) + 1 - len(store.path(trial.schedule))
        if not missing:
            continue  # one that runs in the file is known to be complete by its networks
        if trial.running:
            findings.append(f"trial {trial.number} is unfinished: {missing} networks to train")
        elif not (trial.failed or trial.stopped):
            findings.append(f"trial {trial.number} has lost {missing} networks")
    return findings


def _superfluous(folder: ResultsFolder, store: StageStore) -> list[str]:
    orphans = [
        f"superfluous: stage {stage.id}, whose parent {stage.parent} is missing"
        for stage in store
        if stage.parent is not None and stage.parent not in store
    ]
    leftovers = [
        f"superfluous: {left.relative_to(folder.path)}"
        for pattern in (".unfinished-*", "stages/.unfinished-*", "stages/*/.unfinished-*")
        for left in sorted(folder.path.glob(pattern))
    ]
    return orphans + leftovers


def mend(folder: ResultsFolder) -> None:
    """Set damaged networks aside, clear away unfinished files, write the tables anew.

    Raises:
        RefusedError: No search lives there, or a driver works on it.
    """
    with folder.locked(resume=True):
        config = from_record(folder.read()["config"])
        store = StageStore(folder.stages, repair=True)
        for name, table_of in _TABLES.items():
            folder.put(name, table_of(store, config.cost))
