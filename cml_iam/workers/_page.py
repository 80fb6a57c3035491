"""The page of the fleet: one file without scripts or requests, for a desk and for a phone.

Colours reach the contrast of WCAG 2.1 AA on their grounds in both schemes, and none speaks alone:
each has a symbol and a word beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Final

from cml_iam.visible import visible

if TYPE_CHECKING:
    from cml_iam.workers._metric import Metric, Utilization
    from cml_iam.workers._model import Worker
    from cml_iam.workers._monitor import Report, Watched

REFRESH: Final = 60
"""Seconds after which a browser asks again."""

_STATES: Final = {
    "running": ("●", "good"),
    "pending": ("◔", "busy"),
    "stopping": ("◑", "busy"),
    "shutting-down": ("◑", "busy"),
    "stopped": ("○", "calm"),
    "terminated": ("✕", "calm"),
}
_OTHER_STATE: Final = ("?", "busy")

_STYLE: Final = """
:root{color-scheme:light dark;--ground:#f6f8fa;--card:#fff;--ink:#1f2328;--soft:#57606a;
--line:#d0d7de;--good:#116329;--good-ground:#dafbe1;--bad:#a40e26;--bad-ground:#ffebe9;
--busy:#7d4e00;--busy-ground:#fff8c5;--fill:#0969da;--track:#d8dee4}
@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--card:#151b23;--ink:#e6edf3;
--soft:#9aa4af;--line:#30363d;--good:#56d364;--good-ground:#12261e;--bad:#ff8e86;
--bad-ground:#2d1417;--busy:#e3b341;--busy-ground:#272115;--fill:#4493f8;--track:#30363d}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main{max-width:76rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.05rem;margin:0;font-weight:600;color:var(--soft)}
h2{font-size:1.05rem;margin:2rem 0 .6rem;display:flex;gap:.7rem;align-items:baseline;flex-wrap:wrap}
h2 small,.soft{color:var(--soft);font-weight:400;font-size:.9rem}
.verdict{margin:.6rem 0 1rem;padding:1rem 1.2rem;border-radius:10px;border:1px solid var(--line);
border-left-width:6px;background:var(--card)}
.verdict p{margin:.2rem 0 0}
.verdict strong{font-size:1.5rem;line-height:1.2;display:block}
.verdict.good,.verdict.bad,.verdict.busy{color:var(--ink)}
.verdict.good{border-left-color:var(--good)}.verdict.good strong{color:var(--good)}
.verdict.bad{border-left-color:var(--bad)}.verdict.bad strong{color:var(--bad)}
.verdict.busy{border-left-color:var(--busy)}.verdict.busy strong{color:var(--busy)}
ul.why{margin:.7rem 0 0;padding:0;list-style:none}
ul.why li{padding:.25rem 0 .25rem 1.5rem;text-indent:-1.5rem;overflow-wrap:anywhere}
ul.why b{display:inline-block;width:1.5rem;text-indent:0}
.counts{display:flex;flex-wrap:wrap;gap:.5rem;margin:0;padding:0;list-style:none}
.counts li,.state{border-radius:999px;padding:.1rem .7rem;white-space:nowrap;
border:1px solid var(--line);background:var(--card)}
.state{padding:.05rem .6rem;font-size:.9rem;display:inline-block}
.good{color:var(--good)}.bad{color:var(--bad)}.busy{color:var(--busy)}.calm{color:var(--soft)}
.state.good{background:var(--good-ground);border-color:transparent}
.state.busy{background:var(--busy-ground);border-color:transparent}
.table{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow-x:auto}
.table:focus-visible,a:focus-visible{outline:3px solid var(--fill);outline-offset:2px}
table{border-collapse:collapse;width:100%;min-width:52rem;table-layout:fixed}
thead th:first-child{width:24%}thead th:nth-child(2){width:18%}
td{overflow-wrap:anywhere}
th,td{text-align:left;padding:.55rem .9rem;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child>*{border-bottom:0}
thead th{font-size:.8rem;color:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:600;overflow-wrap:anywhere}
.id{display:block;font:.8rem/1.4 ui-monospace,"DejaVu Sans Mono",monospace;color:var(--soft);
font-weight:400}
.bar{display:block;height:.5rem;border-radius:.25rem;background:var(--track);overflow:hidden;
margin-top:.3rem;max-width:12rem}
.bar i{display:block;height:100%;background:var(--fill)}
.unknown,.why-not,details{color:var(--soft)}
.why-not,details{font-size:.85rem;display:block;max-width:16rem}
summary{cursor:pointer;text-decoration:underline dotted}
summary:focus-visible{outline:3px solid var(--fill);outline-offset:2px}
code{font:.9em ui-monospace,"DejaVu Sans Mono",monospace}
footer{margin-top:2.5rem;color:var(--soft);font-size:.9rem}
a{color:inherit}
.skip{position:absolute;left:-999px}.skip:focus{position:static}
@media(max-width:44rem){main{padding:1rem .8rem 2rem}
.table{border:0;background:none;overflow:visible}
table{min-width:0}
thead{position:absolute;left:-999px}
table,tbody{display:block}
tr{display:grid;grid-template-columns:1fr 1fr;gap:.6rem 1rem;background:var(--card);
border:1px solid var(--line);border-radius:10px;padding:.9rem;margin-bottom:.7rem}
th,td{display:block;border:0;padding:0;min-width:0}
tbody th,td.wide{grid-column:1/-1}
td[data-is]::before{content:attr(data-is);display:block;font-size:.8rem;color:var(--soft)}
}
"""

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{refresh}">
<link rel="icon" href="data:image/svg+xml,{icon}">
<title>{title}</title>
<style>{style}</style></head><body>
<a class="skip" href="#workers">To the workers</a>
<main>
<h1>CML workers</h1>
{verdict}
<div id="workers" tabindex="-1">
{fleet}
</div>
<footer>Read only. Asks again by itself every {refresh} s. For programs:
<a href="health">health</a> (JSON), <a href="metrics">metrics</a> (Prometheus).</footer>
</main></body></html>
"""
_ICON: Final = (
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%23{}'/%3E%3C/svg%3E"
)


def page_of(seen: Watched) -> str:
    """Return the page that shows *seen*."""
    kind, symbol, word = _verdict(seen.report)
    return _PAGE.format(
        refresh=REFRESH,
        icon=_ICON.format({"good": "2da44e", "busy": "bf8700"}.get(kind, "cf222e")),
        title=f"{symbol} {word} · CML workers",
        style=_STYLE,
        verdict=_verdict_card(seen, kind, f"{symbol} {word}"),
        fleet="\n".join(_fleet(seen)),
    )


def _shown(text: str) -> str:
    """Return *text* from elsewhere as HTML: a name could turn round what stands beside it."""
    return escape(visible(text))


def _verdict(report: Report) -> tuple[str, str, str]:
    if not report.connected:
        return "bad", "✖", "EC2 cannot be used"
    if not report.ok:
        return "bad", "✖", "A permission is missing"
    if report.unchecked:
        return "busy", "?", "EC2 answers; not all could be checked"
    return "good", "✔", "All is well"


def _verdict_card(seen: Watched, kind: str, said: str) -> str:
    report = seen.report
    lines = [("bad", "✖", each) for each in report.reasons]
    lines += [("busy", "?", f"could not check {each}") for each in report.unchecked]
    if seen.fleet:
        lines += [
            ("bad", "✖", f"{region}: workers could not be listed: {error.message}")
            for region, error in sorted(seen.fleet.failures.items())
        ]
    said_why = "".join(
        f'<li><b class="{kind}" aria-hidden="true">{symbol}</b>{_shown(text)}</li>'
        for kind, symbol, text in lines
    )
    todo = "" if report.ok else '<p class="soft">What to do: <code>cml-iam doctor</code></p>'
    why = f'<ul class="why">{said_why}</ul>{todo}' if said_why else ""
    checked = f"EC2 in {_shown(report.region)}, last asked {_time(seen.checked_at)}"
    return (
        f'<section class="verdict {kind}" aria-label="Verdict"><strong>{said}</strong>'
        f'<p class="soft">{checked}</p>{why}</section>'
    )


def _fleet(seen: Watched) -> Iterator[str]:
    if seen.fleet is None:
        why = f": {_shown(seen.why_unlisted)}" if seen.why_unlisted else ""
        yield f"<p>? The workers are not known{why}.</p>"
        return
    workers = seen.fleet.workers
    yield _counts(workers)
    as_of = f"workers as of {_time(seen.listed_at)}" if seen.listed_at else ""
    measured = f", CPU and memory of {_time(seen.measured_at)}" if seen.measured_at else ""
    yield f'<p class="soft">{as_of}{measured}</p>'
    if not workers:
        yield "<p>There are no workers.</p>"
    for region in sorted({each.region for each in workers}):
        yield _region(region, [each for each in workers if each.region == region], seen)


def _counts(workers: tuple[Worker, ...]) -> str:
    counted = Counter(each.state for each in workers)
    order = {state: number for number, state in enumerate(_STATES)}
    items = [
        f'<li><span class="{kind}" aria-hidden="true">{symbol}</span> <b>{n}</b> '
        f"{_shown(state)}</li>"
        for state, n in sorted(counted.items(), key=lambda each: order.get(each[0], 99))
        for symbol, kind in (_STATES.get(state, _OTHER_STATE),)
    ]
    return (
        f'<ul class="counts" aria-label="Workers by state">{"".join(items)}</ul>' if items else ""
    )


def _region(region: str, workers: list[Worker], seen: Watched) -> str:
    name, count = _shown(region), len(workers)
    heads = "".join(
        f'<th scope="col">{each}</th>'
        for each in ("Worker", "State", "Type", "Address", "CPU", "Memory")
    )
    rows = "".join(_row(each, seen.usage.get(each.id)) for each in workers)
    return (
        f"<h2>{name} <small>{count} worker{'' if count == 1 else 's'}</small></h2>"
        f'<div class="table" tabindex="0" role="region" aria-label="Workers of {name}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(worker: Worker, used: Utilization | None) -> str:
    symbol, kind = _STATES.get(worker.state, _OTHER_STATE)
    named = _shown(worker.name or worker.id)
    under = f'<span class="id">{_shown(worker.id)}</span>' if worker.name else ""
    reason = (
        f'<span class="why-not">{_shown(worker.state_reason)}</span>' if worker.state_reason else ""
    )
    state = (
        f'<span class="state {kind}"><span aria-hidden="true">{symbol}</span> '
        f"{_shown(worker.state)}</span>{reason}"
    )
    where = _shown(worker.address) if worker.address else '<span class="soft">none</span>'
    return (
        f'<tr><th scope="row">{named}{under}</th><td class="wide">{state}</td>'
        f'<td data-is="Type">{_shown(worker.instance_type)}'
        f'<span class="id">{_shown(worker.zone)}</span></td>'
        f'<td data-is="Address">{where}</td>'
        f"{_use('CPU', worker, used.cpu if used else None)}"
        f"{_use('Memory', worker, used.memory if used else None)}</tr>"
    )


def _use(name: str, worker: Worker, metric: Metric | None) -> str:
    cell = f'<td data-is="{name}">'
    if metric is None or metric.mean is None:
        return f'{cell}<span class="unknown">unknown</span>{_why_unknown(worker, metric)}</td>'
    width = min(100.0, max(0.0, metric.mean))
    return (
        f'{cell}{metric.mean:.0f} %<span class="bar" aria-hidden="true">'
        f'<i style="width:{width:.1f}%"></i></span></td>'
    )


def _why_unknown(worker: Worker, metric: Metric | None) -> str:
    """Say why a metric is unknown; what to do about it unfolds."""
    if worker.state != "running":
        return f'<span class="why-not">the worker is {_shown(worker.state)}</span>'
    if metric is None:
        return '<span class="why-not">not measured yet</span>'
    why = _shown(str(metric.unknown or "no point in the window"))
    if not metric.remedy:
        return f'<span class="why-not">{why}</span>'
    return f"<details><summary>{why}</summary>{_shown(metric.remedy)}</details>"


def _time(at: datetime) -> str:
    utc = at.astimezone(UTC)
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}">{utc:%Y-%m-%d %H:%M:%S} UTC</time>'
