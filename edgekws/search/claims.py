"""Who works on which trial: a table of our own beside those of Optuna, one row a trial."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine

Claim = dict[str, Any]


class Claims:
    """The claims of one study, by the number of the trial."""

    def __init__(self, engine: "Engine", study: str) -> None:
        """Take the database; `make_table` has been called on it."""
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
        """Return the claim of a trial, `None` where nobody has claimed it yet."""
        from sqlalchemy import select

        wanted = select(self._table.c.claim).where(self._is(number))
        with self._engine.begin() as connection:
            text = connection.execute(wanted).scalar()
        found: Claim | None = None if text is None else json.loads(text)
        return found

    def swap(self, number: int, old: Claim | None, new: Claim) -> bool:
        """Write a claim unless another driver has changed it from `old`; tell whether it did."""
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
        """Write a claim over whatever stands there."""
        if not self._update(number, claim) and not self.swap(number, None, claim):
            self._update(number, claim)

    def _update(self, number: int, claim: Claim, *conditions: "ColumnElement[bool]") -> bool:
        change = self._table.update().where(self._is(number), *conditions)
        with self._engine.begin() as connection:
            return connection.execute(change.values(claim=json.dumps(claim))).rowcount == 1

    def _is(self, number: int) -> "ColumnElement[bool]":
        columns = self._table.c
        mine: ColumnElement[bool] = (columns.study == self._study) & (columns.trial == number)
        return mine


def make_table(engine: "Engine") -> None:
    """Make the table where there is none."""
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
