"""What is normal for each of the vitals: one sentence, and whether a number is outside of it.

Rules of thumb for reading a table, not a diagnosis. Source: Karpathy, makemore part 3, whose network of six layers with
BatchNorm has 1.7 to 2.8 % saturated and tanh deviations of 0.63 to 0.65; McCandlish et al. 2018 for the noise scale.
"""

from __future__ import annotations

import math

from moreish.learning.vitals import NoiseScale, NormVitals, ParameterVitals, SiteVitals, Vitals

MOST_SATURATED = 0.2
MOST_DEAD = 0.02
"""Beyond this share of the units."""
UPDATES = (-4.0, -1.5)
"""Outside of this log10 a matrix hardly learns, or is thrown about. Where we differ from the lecture, which learns by
SGD: AdamW at its best rate stands at about -2.2 in all of our networks."""
MOST_ABOVE_UNSURE = 0.15
"""Nats above ln V at which a fresh network is over-confident: the lecture's mended ones are within 0.03."""
APART, RATIOS = 1.0, (0.5, 2.0)
FULL_RATE = 0.5
"""Share of the highest learning rate below which a low update:data is first of all the rate's own doing."""
SETTLED = 50
"""Steps after which a BatchNorm's running statistics, which take a tenth of each batch, no longer know of the start."""

SITES = {
    "mean": "Mean of what the site gave to a batch: near 0 after a norm and for a tanh that is well fed; above 0 after "
    "relu and for a sigmoid.",
    "deviation": "How far it spreads: about 0.6 for a tanh, 1 after a norm, and much the same from layer to layer. One "
    "that shrinks or grows with depth wants another gain.",
    "saturated": "Share of a tanh's results beyond 0.97 (of a sigmoid's beyond the same point), where less than 6 % of "
    "a gradient passes. A few per cent are normal; from 20 % on the layer learns slowly.",
    "dead": "Share of the units that let no gradient pass for any example of the batch. None is normal.",
    "gradient": "Deviation of the loss's gradient there: alike from layer to layer. Powers of ten smaller towards the "
    "first, it vanishes; larger, it explodes.",
}
PARAMETERS = {
    "deviation": "How far its numbers spread. It changes slowly.",
    "gradient:data": "The gradient's deviation over the numbers' own, before clipping: within a factor of about ten "
    "from matrix to matrix. One far above the others is moved too fast by SGD; AdamW and Muon even it out.",
    "update:data": "log10 of the change that the step really made over the numbers' own deviation: about -3, and up to "
    "-2 by AdamW. Below -4 it hardly learns, above -1.5 it is thrown about, as a fresh output layer may be. It is low "
    "while the rate warms up and falls with it at the end.",
}
NORMS = {
    "apart": "The distance of the batch's means from the kept ones, in kept deviations: well below 1 after the first "
    "steps. Otherwise evaluation sees another network than learning.",
    "ratio": "The batch's deviations over the kept ones: near 1 after the first steps.",
    "rows": "Examples that the batch's statistics are over: 32 or more.",
}
FIGURES = {
    "activations": "Numbers: the deviation, and what is saturated. Normal: much the same width in every layer, and no "
    "heaps at a tanh's ends.",
    "gradients": "Numbers: the deviation. Normal: much the same width from the first layer to the last. Needles are "
    "gradients that vanish.",
    "weights": "Numbers: gradient:data. Normal: within a factor of about ten from matrix to matrix.",
    "updates": "Normal: about -3, up to -2 by AdamW; lower while the rate warms up and where it falls at the end. "
    "Below -4 hardly anything is learnt, above -1.5 too much is thrown away.",
    "loss": "Normal: it begins at ln V, what knowing nothing costs, and falls at once, ever more slowly.",
}


def site_is_odd(site: SiteVitals, number: str) -> bool:
    """Whether a site's number (a key of SITES) is outside of what is normal."""
    if number == "saturated":
        return site.saturated is not None and site.saturated > MOST_SATURATED
    if number == "dead":
        return site.dead is not None and site.dead > MOST_DEAD
    spread = site.gradient if number == "gradient" else site.activation
    return spread is not None and spread.not_finite > 0


def parameter_is_odd(parameter: ParameterVitals, number: str, lr_share: float = 1.0) -> bool:
    """Whether a parameter's number (a key of PARAMETERS) is outside of what is normal.

    Args:
        lr_share: the learning rate of the step as a share of the highest: how low an update may be follows it.
    """
    if number == "update:data":
        low = UPDATES[0] + math.log10(max(lr_share, 1e-9))
        update = parameter.update_to_data
        return update is not None and len(parameter.shape) > 1 and not low <= update <= UPDATES[1]
    spread = parameter.gradient if number == "gradient:data" else parameter.data
    return spread is not None and spread.not_finite > 0


def rate_said(lr_share: float) -> str:
    """What a rate below its highest does to update:data, in a sentence; nothing where it does little.

    An update is in proportion to the rate, for SGD, AdamW and Muon alike, so its log10 falls by the rate's own.

    Args:
        lr_share: the learning rate of the step as a share of the highest.
    """
    if lr_share >= FULL_RATE:
        return ""
    if lr_share <= 0:
        return "The rate was 0 at this step, so nothing was learnt in it."
    return (
        f"At this step the rate was {100 * lr_share:.2g} % of its highest, which by itself lowers update:data by "
        f"{-math.log10(lr_share):.1f}: at the full rate it would be so much higher."
    )


def norm_is_odd(norm: NormVitals, number: str, step: int) -> bool:
    """Whether a BatchNorm's number (a key of NORMS) is outside of what is normal at a step."""
    if number == "rows":
        return norm.rows < 32
    if step < SETTLED:
        return False
    if number == "apart":
        return norm.mean_apart is None or norm.mean_apart > APART
    return norm.deviation_ratio is None or not RATIOS[0] <= norm.deviation_ratio <= RATIOS[1]


def beginning(first: Vitals) -> str:
    """The first step's loss against ln V, in a sentence."""
    above = first.loss - first.unsure
    said = f"The loss began at {first.loss:.4f}; knowing nothing costs ln V = {first.unsure:.4f}."
    if above > MOST_ABOVE_UNSURE:
        return (
            f"{said} That is {above:.2f} above: the output layer is over-confident, and the first steps go into "
            f"shrinking it."
        )
    if above < -MOST_ABOVE_UNSURE:
        return f"{said} It knew something already."
    return f"{said} So it should: at first it is unsure."


def noise_said(noise: NoiseScale | None, unit: str) -> str:
    """The noise scale against the batch, in a sentence. `unit`: lines or windows."""
    if noise is None:
        return (
            f"The gradient's noise is not known: two batches of different {unit} are needed at each reading, and the "
            f"list has too few."
        )
    of = f"from {noise.readings} readings" if noise.readings > 1 else "from one reading, so roughly"
    if noise.examples is None:
        return (
            f"The gradient is lost in its noise here ({of}): more {unit} than {noise.batch:,} in a batch would make "
            f"each step truer."
        )
    size = float(f"{noise.examples:.2g}")
    said = f"A batch of about {size:,.0f} {unit} is as much noise as signal ({of}); this one has {noise.batch:,}."
    if noise.examples > 2 * noise.batch:
        return f"{said} Until there, twice the batch makes nearly twice the way in a step."
    if noise.examples < noise.batch / 2:
        return f"{said} Half the batch would make nearly the same way in a step, in less time."
    return f"{said} That is about right."
