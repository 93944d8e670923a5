"""The front end in C, by its kind and with or without floating point."""

from edgekws.codegen.front_end import front_end_header, front_end_source
from edgekws.codegen.front_end_interface import InputQuantization, input_of
from edgekws.codegen.integer_front_end import integer_front_end_header, integer_front_end_source
from edgekws.codegen.ir import Network
from edgekws.codegen.micro_front_end import micro_front_end_header, micro_front_end_source
from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.runtime.c import FRONT_END, INTEGER_FRONT_END, MICRO_FRONT_END
from edgekws.runtime.front_end import MICROFRONTEND


def files(contract: Contract, network: Network, *, integer: bool) -> dict[str, str]:
    """Return the generated files of a network's front end, by name.

    Raises:
        UnsupportedError: the front end has no form in C; the message says why.
    """
    try:
        header, source = _header_and_source(contract, input_of(network), integer=integer)
    except ValueError as error:
        kind = "integer front end" if integer else "front end"
        raise UnsupportedError(f"the {kind} has no form in C: {error}") from error
    return {"kws_front_end.h": header, "kws_front_end.c": source}


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


def _header_and_source(
    contract: Contract, quantization: InputQuantization, *, integer: bool
) -> tuple[str, str]:
    front_end, normalization = contract.front_end, contract.normalization
    if front_end.kind == MICROFRONTEND:
        return micro_front_end_header(front_end), micro_front_end_source(quantization)
    if integer:
        header = integer_front_end_header(front_end)
        return header, integer_front_end_source(front_end, normalization, quantization)
    header = front_end_header(front_end)
    return header, front_end_source(front_end, normalization, quantization)


def _either(integer: str, floating: str) -> str:
    return f"#if defined(KWS_INTEGER)\n{integer}\n#else\n{floating}\n#endif\n"
