"""Results stored in an Optuna study: in a file, or any database that Optuna supports."""

import json
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekws.core.canonical import canonical_json
from edgekws.search.claims import Claim, Claims
from edgekws.search.database import Database
from edgekws.search.trial import Trial, UnitResult

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FRESH_S = 120.0
"""A claim expires if it is not renewed for this long."""


@dataclass(kw_only=True)
class Row:
    """One trial as it is stored.

    `state` is `running`, `complete`, `pruned` or `failed`; `scores` maps epochs to the objective
    on dev; `claim` identifies the driver working on it.
    """

    key: str
    number: int
    state: str
    scores: dict[int, float]
    result: dict[str, Any] | None = None
    error: str | None = None
    seconds: float = 0.0
    rss_mib: float = 0.0
    claim: Claim | None = None

    def reached(self, epochs: int | None) -> bool:
        """Return whether it has reached `epochs`, or its end with `None`."""
        return self.result is not None if epochs is None else epochs in self.scores

    def measured(self) -> dict[str, float]:
        """Return the values of all metrics measured at the end."""
        assert self.result is not None
        return {
            measurement["metric"]: measurement["value"]
            for measurement in self.result["measurements"]
        }

    def result_value(self, objective: str) -> float:
        """Return the objective at the end, on dev."""
        return self.measured()[objective]

    def table(self, split: str) -> dict[str, Any]:
        """Return the table by speaker and label of a split."""
        assert self.result is not None
        table: dict[str, Any] = self.result["tables"][split]
        return table


_STATES = {"RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
"""Optuna's states and ours."""


class Storage:
    """The rows of one sweep. Several drivers may share it: a trial counts once, by its key.

    If two of them start the same trial at once, the first row in the study counts.
    """

    def __init__(self, url: str, name: str) -> None:
        """Open the study, or create it.

        Raises:
            UsageError: the URL is invalid.
            MissingPartError: the driver is not installed, or no usable database answers.
        """
        self.database = Database(url)
        self.study = self.database.study(name)
        self.claims = Claims(self.database.rdb.engine, name)
        self._study_id = self.database.rdb.get_study_id_from_name(name)
        self._ids: dict[int, int] = {}
        self.rows: dict[str, Row] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read what other drivers have written."""
        self.rows.clear()
        claims = self.claims.all()
        for frozen in self.study.get_trials(deepcopy=False):
            key = frozen.user_attrs.get("key")
            if key is not None:
                row, known = _row(frozen, claims.get(frozen.number)), self.rows.get(key)
                if known is None or _counts_before(row, known):
                    self.rows[key] = row

    def add(self, trials: Iterable[Trial]) -> None:
        """Add a row for every trial without one."""
        fresh = {trial.key: trial for trial in trials if self._needs_row(trial.key)}
        if fresh:
            added = {key: self._add(trial, {}) for key, trial in fresh.items()}
            self._settle(added)

    def _needs_row(self, key: str) -> bool:
        return key not in self.rows or self.rows[key].state == "failed"

    def reopen(self, trial: Trial) -> None:
        """Add a new row for a pruned trial: finished trials in a study cannot be changed."""
        if self.rows[trial.key].state == "pruned":
            scores = self.rows[trial.key].scores
            self._settle({trial.key: self._add(trial, scores)})

    def _settle(self, added: dict[str, int]) -> None:
        """Withdraw added rows, by key, if another driver was first."""
        self.refresh()
        for key, number in added.items():
            if self.rows[key].number != number:
                self.database.rdb.set_trial_user_attr(self._id(number), "key", None)
                self._end(number, "failed", None)

    def _add(self, trial: Trial, scores: dict[int, float]) -> int:
        from optuna.trial import TrialState, create_trial

        # As parameters, Optuna would restrict these to their first values; a sweep may add more.
        attributes = {"key": trial.key, "seed": trial.seed, "recipe": trial.recipe}
        begun = create_trial(
            state=TrialState.RUNNING,
            intermediate_values=dict(scores),
            user_attrs=attributes | {"params": canonical_json(dict(trial.params))},
        )
        trial_id = self.database.rdb.create_new_trial(self._study_id, begun)
        number = self.database.rdb.get_trial_number_from_id(trial_id)
        self._ids[number] = trial_id
        return number

    def _id(self, number: int) -> int:
        """Return the database's id of a trial of this study."""
        if number not in self._ids:
            find = self.database.rdb.get_trial_id_from_study_id_trial_number
            self._ids[number] = find(self._study_id, number)
        return self._ids[number]

    def record(self, outcome: UnitResult) -> None:
        """Write the outcome of a unit, unless another driver has taken over and ended the trial."""
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            self._write(self.rows[outcome.key], outcome)
        except UpdateFinishedTrialError:
            self._reread(outcome.key)

    def _write(self, row: Row, outcome: UnitResult) -> None:
        store, number = self.database.rdb, self._id(row.number)
        for epoch, score in outcome.scores:
            if epoch not in row.scores:
                store.set_trial_intermediate_value(number, epoch, score)
                row.scores[epoch] = score
        row.seconds += outcome.seconds
        row.rss_mib = max(row.rss_mib, outcome.rss_mib)
        row.error = outcome.error
        if outcome.result is not None:
            store.set_trial_user_attr(number, "result", json.dumps(outcome.result))
            row.result = outcome.result
        attributes = {"seconds": row.seconds, "rss_mib": row.rss_mib, "error": row.error}
        for key, value in attributes.items():
            store.set_trial_user_attr(number, key, value)
        self.release(outcome.key)

    def close(self, key: str, state: str, value: float | None = None) -> None:
        """End a row as `complete`, `pruned` or `failed`, unless another driver already has."""
        row = self.rows[key]
        if row.state == "running":
            self._end(row.number, state, value)
            row.state = state

    def _end(self, number: int, state: str, value: float | None) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        names = {state: name for name, state in _STATES.items()}
        values = None if value is None else [value]
        with suppress(UpdateFinishedTrialError):
            self.database.rdb.set_trial_state_values(
                self._id(number), TrialState[names[state]], values
            )

    def claim(self, key: str) -> bool:
        """Claim a trial; return whether it succeeded: another driver may have it or have ended it.

        The row is read again, as another driver may have advanced it.
        """
        if _is_fresh(self.rows[key].claim):
            return False
        row, claim = self._reread(key), _own_claim()
        if row.state != "running" or _is_fresh(row.claim):
            return False
        if not self.claims.swap(row.number, row.claim, claim):
            return False
        return self._reread(key).claim == claim

    def _reread(self, key: str) -> Row:
        number = self.rows[key].number
        row = _row(self.database.rdb.get_trial(self._id(number)), self.claims.get(number))
        self.rows[key] = row
        return row

    def release(self, key: str) -> None:
        """Release the claim on a trial."""
        row = self.rows[key]
        row.claim = {}
        self.claims.put(row.number, row.claim)

    def renew(self, keys: Iterable[str]) -> None:
        """Renew the claims of this driver."""
        for key in keys:
            row = self.rows[key]
            if time.time() - (row.claim or {}).get("at", 0.0) > FRESH_S / 4:
                row.claim = _own_claim()
                self.claims.put(row.number, row.claim)


def file_url(folder: Path) -> str:
    """Return the URL of the storage in a sweep's folder."""
    return f"sqlite:///{folder / 'study.db'}"


def _row(frozen: "FrozenTrial", claim: Claim | None) -> Row:
    attributes = frozen.user_attrs
    result = attributes.get("result")
    return Row(
        key=attributes["key"],
        number=frozen.number,
        state=_STATES[frozen.state.name],
        scores=dict(frozen.intermediate_values),
        result=json.loads(result) if result else None,
        error=attributes.get("error"),
        seconds=attributes.get("seconds", 0.0),
        rss_mib=attributes.get("rss_mib", 0.0),
        claim=claim,
    )


def _counts_before(row: Row, known: Row) -> bool:
    """Return whether a later row of the same trial replaces the known one."""
    return known.state in ("pruned", "failed") or (known.state, row.state) == (
        "running",
        "complete",
    )


def _own_claim() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "at": time.time()}


def _is_fresh(claim: dict[str, Any] | None) -> bool:
    """Return whether another driver, as far as known still alive, works on it."""
    if not claim or time.time() - claim["at"] > FRESH_S:
        return False
    if claim["host"] != socket.gethostname():
        return True
    return claim["pid"] != os.getpid() and _runs(claim["pid"])


def _runs(pid: int) -> bool:
    """Return whether a process is alive; a zombie does not count."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
