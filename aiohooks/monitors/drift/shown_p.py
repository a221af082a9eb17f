"""P-values as people read them."""

LEAST_TOLD = 1e-6
"""Smaller p-values are all the same: they follow from a tail that some thousand windows by chance tell of, and nobody could check them."""


def shown_p(p_value: float | None) -> str:
    """Return a p-value for a table: a dash where there is none."""
    return (
        "–"
        if p_value is None
        else f"< {LEAST_TOLD:.0e}".replace("e-0", "e-")
        if p_value < LEAST_TOLD
        else f"{p_value:.2g}"
    )


def told_p(p_value: float) -> str:
    """Return a p-value for a sentence, behind "p"."""
    return shown_p(p_value) if p_value < LEAST_TOLD else f"= {shown_p(p_value)}"
