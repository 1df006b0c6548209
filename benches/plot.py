"""A picture of what a call costs."""

import io
import statistics

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

COLORS = ("#9aa5b1", "#1f6feb")


def draw(comparison, upstreams, modes, peers):
    """The processor time of a call, for each upstream and mode, as SVG."""
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "incidentgate", "font.size": 9})
    figure, axes = pyplot.subplots(1, len(upstreams), sharey=True, figsize=(9, 3.2), layout="constrained")
    width = 0.4
    for upstream, ax in zip(upstreams, axes):
        for number, (peer, color) in enumerate(zip(peers, COLORS)):
            rounds = [comparison.figures((upstream, mode, peer), "cpu") for mode in modes]
            costs = [statistics.median(each) for each in rounds]
            spread = [[cost - min(each) for cost, each in zip(costs, rounds)],
                      [max(each) - cost for cost, each in zip(costs, rounds)]]
            places = [place + (number - 0.5) * width for place in range(len(modes))]
            ax.bar(places, costs, width, yerr=spread, label=peer, color=color, error_kw={"elinewidth": 0.8})
        ax.set_title(f"Graph by {upstream}", fontsize=9)
        ax.set_xticks(range(len(modes)), [mode.name for mode in modes])
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("CPU per call (µs)")
    axes[-1].legend(frameon=False)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
