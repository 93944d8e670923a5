"""The front end in C, by its kind and with or without floating point."""

from edgekws.codegen.front_end import front_end_files
from edgekws.codegen.integer_front_end import integer_front_end_files
from edgekws.codegen.ir import Network
from edgekws.codegen.micro_front_end import micro_front_end_files
from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.runtime.c import FRONT_END, INTEGER_FRONT_END, MICRO_FRONT_END
from edgekws.runtime.front_end import MICROFRONTEND


def files(contract: Contract, network: Network, *, integer: bool) -> dict[str, str]:
    """Return the generated files of a network's front end, by name.

    Raises:
        UnsupportedError: the front end has no form in C; the message says why.
    """
    if contract.front_end.kind == MICROFRONTEND:
        return micro_front_end_files(contract, network)
    return (integer_front_end_files if integer else front_end_files)(contract, network)


def kernels(contract: Contract, *, integer: bool) -> tuple[str, ...]:
    """Return the names of the kernels that these files call."""
    if contract.front_end.kind == MICROFRONTEND:
        return MICRO_FRONT_END
    return INTEGER_FRONT_END if integer else FRONT_END


def files_of_both(contract: Contract, network: Network) -> dict[str, str]:
    """Return files with both forms; `KWS_INTEGER` chooses the one without floating point.

    Raises:
        UnsupportedError: the form with floating point cannot be written.
    """
    floating = files(contract, network, integer=False)
    try:
        integer = files(contract, network, integer=True)
    except UnsupportedError as error:
        integer = dict.fromkeys(floating, f'#error "{error}"\n')
    return {
        name: text if text == integer[name] else _either(integer[name], text)
        for name, text in floating.items()
    }


def _either(integer: str, floating: str) -> str:
    return f"#if defined(KWS_INTEGER)\n{integer}\n#else\n{floating}\n#endif\n"
