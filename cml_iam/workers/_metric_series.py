"""Series of points asked of CloudWatch: one call for each, several calls at a time.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import AwsError, CredentialsError
from cml_iam.workers._metric import Dimensions, Point
from cml_iam.workers._metric_window import Window
from cml_iam.workers._model import in_utc
from cml_iam.workers._threads import in_threads

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws

THREADS: Final = 32
"""As many calls at once as the port keeps connections for. CloudWatch takes 400 a second."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric under one set of dimensions, in a region and a window.

    Of a *rate* the bytes of a period are asked for and divided by its seconds; a period that has
    not ended yet is left out, since it would read as quieter than it is.
    """

    namespace: str
    metric: str
    dimensions: Dimensions
    rate: bool
    region: str
    window: Window

    @property
    def statistics(self) -> tuple[str, ...]:
        """What of each period is asked for."""
        return ("Sum",) if self.rate else ("Average", "Maximum", "SampleCount")

    def as_aws(self) -> dict[str, Any]:
        """Return the metric in the form of CloudWatch's API."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions]
        return {
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": dimensions,
        }

    def points(self, periods: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
        """Return the points that *periods*, with their Timestamp and statistics, make."""
        made = (self._point(each) for each in periods)
        # AWS says that it returns the points in no particular order.
        return tuple(sorted((each for each in made if each), key=lambda point: point.at))

    def _point(self, raw: Mapping[str, Any]) -> Point | None:
        at = in_utc(raw.get("Timestamp"))
        if at is None:
            raise AwsError("a point of CloudWatch has no time", operation="GetMetricStatistics")
        if self.rate:
            if "Sum" not in raw or at + timedelta(seconds=self.window.period) > self.window.end:
                return None
            rate = float(raw["Sum"]) / self.window.period
            return Point(at, rate, rate, 1.0)
        if "Average" not in raw:
            return None
        average = float(raw["Average"])
        maximum = float(raw.get("Maximum", average))
        return Point(at, average, maximum, float(raw.get("SampleCount") or 1.0))


Answer = tuple[Point, ...] | AwsError
AskFor = Callable[[Sequence[Series]], Mapping[Series, Answer]]
"""Answers each of the series given; raises only CredentialsError."""


def by_statistics(aws: Aws) -> AskFor:
    """Return what asks GetMetricStatistics for each series, several at a time."""

    def answer(series: Series) -> Answer:
        try:
            said = aws.call(
                "cloudwatch",
                "get_metric_statistics",
                region=series.region,
                **series.as_aws(),
                StartTime=series.window.start,
                EndTime=series.window.end,
                Period=series.window.period,
                Statistics=list(series.statistics),
            )
            return series.points(said.get("Datapoints", ()))
        except CredentialsError:
            raise
        except AwsError as error:
            return error

    def ask(wanted: Sequence[Series]) -> Mapping[Series, Answer]:
        return dict(zip(wanted, in_threads(answer, wanted, THREADS), strict=True))

    return ask
