"""Figures within sentences."""

from labeling.services.agreement import Figure


def share(figure: Figure) -> str:
    """“72.4 % (70.1 to 74.6)”."""
    if figure.value is None:
        return "not known"
    if figure.low is None or figure.high is None:
        return f"{100 * figure.value:.1f} %"
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def plain(figure: Figure, decimals: int = 2) -> str:
    if figure.value is None:
        return "not known"
    if figure.low is None or figure.high is None:
        return signed(figure.value, decimals)
    return f"{signed(figure.value, decimals)} ({signed(figure.low, decimals)} to {signed(figure.high, decimals)})"


def signed(value: float, decimals: int = 2) -> str:
    return f"{value:,.{decimals}f}".replace("-", "−")


def how_sure(one: Figure, other: Figure) -> str:
    """What two intervals allow to say of a difference."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return "Without intervals nothing says how sure the difference is."
    apart = one.low > other.high or other.low > one.high
    return "Their intervals are apart." if apart else "Their intervals overlap: it may be chance."


def listed(names: list[str]) -> str:
    """“a, b and c”."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
