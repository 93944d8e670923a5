"""The database of a sweep, opened by its URL; its failures become errors with advice."""

import itertools
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekws.errors import EdgekwsError, MachineError, MissingPartError, UsageError
from edgekws.search.claims import create_table

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from sqlalchemy import URL
    from sqlalchemy.exc import DBAPIError

_EXTRAS = {"psycopg": "'edgekws[postgresql]'"}
"""Names to install drivers by with pip, if they differ from the drivers'."""
_ATTEMPTS = 5
"""Drivers that may create the tables of an empty database at once."""


class Database:
    """An Optuna storage with a table of claims; only one driver wins each claim."""

    def __init__(self, url: str) -> None:
        """Connect, and create the tables if they do not exist.

        `postgresql://` uses psycopg 3.

        Raises:
            UsageError: the URL is invalid.
            MissingPartError: the driver is not installed, or no usable database answers.
        """
        parsed = _parsed(url)
        self.shown = _shown(parsed)
        try:
            self.rdb = _connected(parsed)
        except RuntimeError as error:  # tables of another version of Optuna
            raise UsageError(f"--storage {self.shown}: {error}") from error
        except ImportError as error:
            raise _no_driver(self.shown, error) from error
        except _refusals() as error:
            advice = "" if _is_file(parsed) else "; look at host, user, password and database"
            text = f"--storage {self.shown}: cannot be used ({_first_line(error)}){advice}"
            raise MissingPartError(text) from error

    def study(self, name: str) -> "Study":
        """Open the study, or create it."""
        import optuna

        with self.errors_explained():
            return optuna.create_study(
                storage=self.rdb, study_name=name, direction="maximize", load_if_exists=True
            )

    def close(self) -> None:
        """Close the connections; later use opens new ones."""
        self.rdb.remove_session()
        self.rdb.engine.dispose()

    @contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Turn failures of the database into errors with advice.

        Raises:
            MachineError: for a file.
            MissingPartError: for a server.
        """
        try:
            yield
        except _refusals() as error:
            kind: type[EdgekwsError] = MissingPartError
            if _is_file(self.rdb.engine.url):
                kind = MachineError
            text = (
                f"--storage {self.shown}: failed ({_first_line(error)}); once it works again, the "
                "same command resumes from here"
            )
            raise kind(text) from error


def _parsed(url: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        shown = url.rpartition("@")[2].partition("?")[0]  # the rest may contain a password
        text = f"--storage {shown}: not the URL of a database, e.g. postgresql://host/name"
        raise UsageError(text) from error
    return parsed


def _shown(url: "URL") -> str:
    """Return the URL without user, password and options, which may contain a password too."""
    from sqlalchemy import URL

    return str(URL.create(url.drivername, host=url.host, port=url.port, database=url.database))


def _is_file(url: "URL") -> bool:
    return url.get_backend_name() == "sqlite"


def _connected(url: "URL") -> "RDBStorage":
    """Return the storage; if several drivers create its tables at once, all but one retry."""
    import optuna
    from sqlalchemy.exc import DBAPIError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Connections are idle while networks train, and servers close idle ones.
    options: dict[str, Any] = {} if _is_file(url) else {"pool_pre_ping": True}
    text = url.render_as_string(hide_password=False)
    text = text.replace("{", "{{").replace("}", "}}")  # Optuna takes it for a template
    for attempt in itertools.count(1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                storage = optuna.storages.RDBStorage(text, engine_kwargs=options)
            create_table(storage.engine)
            return storage
        except DBAPIError as error:
            if attempt == _ATTEMPTS or not _lost_race(error):
                raise
            time.sleep(0.1 * attempt)
    raise AssertionError("the counter is endless")


def _lost_race(error: "DBAPIError") -> bool:
    """Return whether another driver has just created the same table or row."""
    from sqlalchemy.exc import IntegrityError

    return isinstance(error, IntegrityError) or "already exists" in str(error.orig)


def _refusals() -> tuple[type[Exception], ...]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError, StorageInternalError


def _first_line(error: Exception) -> str:
    """Return the database's own message, which Optuna may hide."""
    known = error if hasattr(error, "orig") else error.__cause__
    said = getattr(known, "orig", None) or known or error
    return str(said).strip().splitlines()[0]


def _no_driver(shown: str, error: ImportError) -> MissingPartError:
    cause = error if error.name else error.__cause__
    driver = getattr(cause, "name", None)
    if driver is None:
        return MissingPartError(f"--storage {shown}: its driver does not start: {cause or error}")
    install = f"pip install {_EXTRAS.get(driver, driver)}"
    return MissingPartError(
        f"--storage {shown}: its driver {driver} is not installed; install it with: {install}"
    )
