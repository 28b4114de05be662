"""Who trains: Ray, Tune, the workers, and the one writer of the stage store."""
