"""Claims of trials by drivers: a table beside Optuna's, with one row per trial."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine

Claim = dict[str, Any]


class Claims:
    """The claims of one study, by the number of the trial."""

    def __init__(self, engine: "Engine", study: str) -> None:
        """Take the database; call `create_table` on it first."""
        self._engine, self._study = engine, study
        self._table = _table()

    def all(self) -> dict[int, Claim]:
        """Return every claim of the study."""
        from sqlalchemy import select

        columns = self._table.c
        wanted = select(columns.trial, columns.claim).where(columns.study == self._study)
        with self._engine.begin() as connection:
            return {number: json.loads(text) for number, text in connection.execute(wanted)}

    def get(self, number: int) -> Claim | None:
        """Return the claim of a trial, `None` if it has not been claimed."""
        from sqlalchemy import select

        wanted = select(self._table.c.claim).where(self._matches(number))
        with self._engine.begin() as connection:
            text = connection.execute(wanted).scalar()
        claim: Claim | None = None if text is None else json.loads(text)
        return claim

    def swap(self, number: int, old: Claim | None, new: Claim) -> bool:
        """Write a claim unless another driver changed `old`; return whether it was written."""
        from sqlalchemy.exc import IntegrityError

        if old is not None:
            return self._update(number, new, self._table.c.claim == json.dumps(old))
        row = {"study": self._study, "trial": number, "claim": json.dumps(new)}
        try:
            with self._engine.begin() as connection:
                connection.execute(self._table.insert().values(row))
        except IntegrityError:  # another one was first
            return False
        return True

    def put(self, number: int, claim: Claim) -> None:
        """Write a claim unconditionally."""
        if not self._update(number, claim) and not self.swap(number, None, claim):
            self._update(number, claim)

    def _update(self, number: int, claim: Claim, *conditions: "ColumnElement[bool]") -> bool:
        change = self._table.update().where(self._matches(number), *conditions)
        with self._engine.begin() as connection:
            return connection.execute(change.values(claim=json.dumps(claim))).rowcount == 1

    def _matches(self, number: int) -> "ColumnElement[bool]":
        columns = self._table.c
        condition: ColumnElement[bool] = (columns.study == self._study) & (columns.trial == number)
        return condition


def create_table(engine: "Engine") -> None:
    """Create the table if it does not exist."""
    _table().create(engine, checkfirst=True)


def _table() -> Any:
    from sqlalchemy import Column, Integer, MetaData, String, Table, Text

    return Table(
        "edgekws_claims",
        MetaData(),
        Column("study", String(512), primary_key=True),
        Column("trial", Integer, primary_key=True),
        Column("claim", Text, nullable=False),
    )
