"""Every figure of the course: functions of arrays and data frames that return the figure.

This is the one name to import them by; they are drawn in the files beside this one.
None calls pyplot or a model. Blue is CoRe, orange the I3D+MLP baseline, black the truth.
"""

from corelib.figures.attribution import (
    attributed_moments,
    attribution_moment,
    attribution_strip,
    fault_effects,
    score_steps,
)
from corelib.figures.encoder import feature_map, inflate_kernel, kernels_over_time, neighbours
from corelib.figures.judges import judge_against_panel, judges_agreement, judges_worth
from corelib.figures.labels import exemplar_counts, rated_items, score_panels
from corelib.figures.pairs import exemplar_vote, intervals, pair_differences, tree
from corelib.figures.predictions import error_views, reliability, score_scatter, vote_weights
from corelib.figures.results import learning_curves, spread_curves, system_comparison
from corelib.figures.samples import (
    clip_grid,
    film_strip,
    film_strips,
    score_histogram,
    snippet_layout,
)
