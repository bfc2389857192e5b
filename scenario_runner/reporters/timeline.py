"""The course of a run as one drawing: steps, faults, nodes, pods, events and requests over the same seconds (SVG)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from scenario_runner.core.observations import Observation
from scenario_runner.core.report import LoadSummary, Report

_GUTTER, _WIDTH = 230, 1200  # where time begins, and where the drawing ends
_ROW, _CHART, _LINE = 15, 46, 30  # heights
_STATE_LABEL = "label/dgxc.nvidia.com/nvsentinel-state"
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST_TICKS = 14
_MOST_EVENTS = 400
_LONGEST_LABEL = 34


@dataclass(frozen=True)
class Span:
    """A stretch of time with a look (a CSS class) and what it says when pointed at; seconds since the run began."""

    start: float
    end: float
    look: str
    words: str


@dataclass(frozen=True)
class Lane:
    """One line of the drawing: already placed shapes, `height` pixels of them."""

    label: str
    height: int
    shapes: str


def draw(report: Report) -> str:
    """An `svg` element; its looks are the classes that the page styles."""
    scale = _Scale(max(report.seconds, 0.001))
    lanes = [*_faults(report, scale), *_nodes(report, scale), *_pods(report, scale), *_events(report, scale)]
    lanes += [lane for load in report.loads for lane in _load(load, scale)]
    lanes += _steps(report, scale)
    top, parts = 20, []
    height = top + sum(lane.height + 4 for lane in lanes) + 4
    for fault in report.faults:
        end = report.seconds if fault.end is None else fault.end
        left, right = scale.at(fault.start), scale.at(end)
        parts.append(f'<rect class="window" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{height}"/>')
    parts += scale.axis(height)
    for lane in lanes:
        label = f'<text class="label" x="{_GUTTER - 8}" y="{lane.height / 2 + 4:.1f}">{_short(lane.label)}</text>'
        parts.append(f'<g transform="translate(0 {top})">{label}{lane.shapes}</g>')
        top += lane.height + 4
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="timeline">{"".join(parts)}</svg>'


@dataclass(frozen=True)
class _Scale:
    """From seconds to pixels."""

    seconds: float

    def at(self, seconds: float) -> float:
        share = min(max(seconds / self.seconds, 0.0), 1.0)
        return _GUTTER + share * (_WIDTH - _GUTTER - 10)

    def axis(self, height: int) -> Iterator[str]:
        between = next((one for one in _TICKS if self.seconds / one <= _MOST_TICKS), _TICKS[-1])
        for number in range(int(self.seconds / between) + 1):
            x, seconds = self.at(number * between), number * between
            words = f"{seconds} s" if between < 60 else f"{seconds // 60} min"  # noqa: PLR2004 - seconds of a minute
            yield f'<line class="grid" x1="{x:.1f}" y1="16" x2="{x:.1f}" y2="{height}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="12">{words}</text>'

    def bar(self, span: Span, top: float = 0, height: float = _ROW) -> str:
        left, right = self.at(span.start), self.at(span.end)
        place = f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 2):.1f}" height="{height:.1f}"'
        return f'<rect class="{span.look}" rx="2" {place}><title>{escape(span.words)}</title></rect>'


def _steps(report: Report, scale: _Scale) -> Iterator[Lane]:
    for one in report.outcomes:
        took = Span(one.offset, one.offset + one.seconds, one.status.value, f"{one.name}, {one.seconds:.2f} s")
        yield Lane(f"{one.number} {one.name}", _ROW, scale.bar(took))


def _faults(report: Report, scale: _Scale) -> Iterator[Lane]:
    for one in report.faults:
        end = report.seconds if one.end is None else one.end
        what = f"CUDA {one.cuda}" if one.cuda else f"XID {one.xid}"
        words = f"{what} on {one.node}, {one.evidence}, {end - one.start:.1f} s, {one.end_reason or 'open'}"
        yield Lane(f"{what} on {one.node}", _ROW, scale.bar(Span(one.start, end, "fault", words)))


def _nodes(report: Report, scale: _Scale) -> Iterator[Lane]:
    """What became of the nodes that were hit: cordoned, not ready, and the platform's states."""
    for name in sorted({fault.node for fault in report.faults}):
        seen = [one for one in report.observations if (one.subject, one.name) == ("node", name)]
        spans = [
            *_while(report, seen, "schedulable", lambda value: "cordoned" if value == "false" else ""),
            *_while(report, seen, "ready", lambda value: "" if value == "True" else "not ready"),
        ]
        if spans:
            yield Lane(name, _ROW, "".join(_named(scale, one) for one in spans))
        states = [*_while(report, seen, _STATE_LABEL, lambda value: value)]
        if states:
            yield Lane(f"{name}: platform", _ROW, "".join(_named(scale, one) for one in states))


def _while(report: Report, seen: Sequence[Observation], fact: str, words: Callable[[str], str]) -> Iterator[Span]:
    """A span for each stretch in which the fact has a value that `words` has a word for."""
    values = [(_offset(report, one), one.value) for one in seen if one.fact == fact]
    for (start, value), (end, _) in pairwise([*values, (report.seconds, "")]):
        word = words(value)
        if word:
            look = word.replace(" ", "-") if fact != _STATE_LABEL else "state"
            yield Span(start, end, look, f"{word}, {end - start:.1f} s")


def _named(scale: _Scale, span: Span) -> str:
    """A bar that also says its word where that fits."""
    word = span.words.partition(",")[0]
    room = scale.at(span.end) - scale.at(span.start)
    text = f'<text class="inside" x="{scale.at(span.start) + 4:.1f}" y="11">{escape(word)}</text>'
    return scale.bar(span) + (text if room > 6.5 * len(word) else "")


def _pods(report: Report, scale: _Scale) -> Iterator[Lane]:
    """How many of the pods that the run watched were ready."""
    ready: set[str] = set()
    counts = [(0.0, 0)]
    for one in report.observations:
        if one.subject == "pod" and one.fact in {"ready", "gone"}:
            (ready.add if (one.fact, one.value) == ("ready", "true") else ready.discard)(one.name)
            counts.append((_offset(report, one), len(ready)))
    if len(counts) > 1:
        label = f"pods ready (most {max(count for _, count in counts)})"
        yield Lane(label, _CHART, _area(scale, [*counts, (report.seconds, counts[-1][1])], "pods"))


def _events(report: Report, scale: _Scale) -> Iterator[Lane]:
    seen = [one for one in report.observations if one.subject == "event" and not one.initial][:_MOST_EVENTS]
    marks = [
        scale.bar(Span(at, at, "event", f"{at:.1f} s: {one.name} {one.value}: {one.detail}"))
        for one, at in ((one, _offset(report, one)) for one in seen)
    ]
    if marks:
        yield Lane(f"Kubernetes events ({len(marks)})", _ROW, "".join(marks))


def _load(load: LoadSummary, scale: _Scale) -> Iterator[Lane]:
    """Requests as bars, those that failed in red on top; below it how slow the slow ones were."""
    most = max((piece.requests for piece in load.pieces), default=0)
    if not most:
        return
    bars = []
    for piece in load.pieces:
        full, good = (_CHART * count / most for count in (piece.requests, piece.succeeded))
        words = f"{piece.start:.1f} s: {piece.succeeded} of {piece.requests} succeeded"
        span = Span(piece.start, piece.end, "failures", words)
        bars.append(scale.bar(span, _CHART - full, full - good) if good < full else "")
        bars.append(scale.bar(Span(piece.start, piece.end, "successes", words), _CHART - good, good) if good else "")
    yield Lane(f"{load.step_id}: requests", _CHART, "".join(bars))
    slow = [(piece.end, piece.p95) for piece in load.pieces if piece.p95 is not None]
    if slow:
        slowest = max(value for _, value in slow)
        label = f"{load.step_id}: p95 (most {slowest * 1000:.0f} ms)"
        yield Lane(label, _LINE, _line(scale, slow, slowest))


def _area(scale: _Scale, points: Sequence[tuple[float, float]], look: str) -> str:
    """A stepped area over (seconds, value)."""
    most = max(value for _, value in points) or 1
    path = [f"M{scale.at(points[0][0]):.1f} {_CHART}"]
    for seconds, value in points:
        path.append(f"H{scale.at(seconds):.1f} V{_CHART - _CHART * value / most:.1f}")
    return f'<path class="{look}" d="{" ".join(path)} V{_CHART} Z"/>'


def _line(scale: _Scale, points: Iterable[tuple[float, float]], most: float) -> str:
    places = " ".join(f"{scale.at(x):.1f},{_LINE - (_LINE - 2) * y / (most or 1):.1f}" for x, y in points)
    return f'<polyline class="latency" points="{places}"/>'


def _offset(report: Report, seen: Observation) -> float:
    return (seen.time - report.started).total_seconds()


def _short(label: str) -> str:
    whole = escape(label)
    if len(label) <= _LONGEST_LABEL:
        return whole
    return f"{escape(label[: _LONGEST_LABEL - 1])}…<title>{whole}</title>"
