"""`[timing]` and `[schedule]`: how long things may take, and when they are due."""

from __future__ import annotations

from pydantic import Field, field_validator

from verifier.profile.section import Section


class Timing(Section):
    """`[timing]`: delays that are normal in this stack, and the time limits of a run."""

    settle_s: float = Field(
        default=5,
        ge=0,
        description="How long a fact may be in transit between two stores. A difference becomes a finding only if it is "
        "still there after this time. Raise it above the longest normal delay of the stack",
        examples=[30],
    )
    observe_s: float = Field(
        default=30,
        ge=0,
        description="How long taps listen in one run: change streams, Redis channels and keyspace events",
        examples=[120],
    )
    counter_flush_s: float = Field(
        default=11,
        ge=0,
        description="How late counters are. PostgreSQL flushes those of an idle session after 10 s; RabbitMQ collects "
        "its statistics every 5 s",
        examples=[15],
    )
    openim_cache_s: float = Field(
        default=301,
        ge=0,
        description="How long OpenIM may answer `parse_token` from its cache [F29]. TOK-04 asks a second time about a "
        "dead token after this time",
        examples=[301],
    )
    token_sample: int = Field(
        default=500, ge=1, description="How many imTokens OpenIM is asked about in one run (TOK-04)", examples=[200]
    )
    clock_skew_max_s: float = Field(
        default=2,
        gt=0,
        description="How far the clocks of the stores may differ. Checks that compare times are inconclusive beyond it",
        examples=[0.5],
    )
    check_timeout_s: float = Field(
        default=1800, gt=0, description="Time limit of one check. Beyond it the check is inconclusive", examples=[600]
    )
    run_max_age_s: float | None = Field(
        default=None,
        gt=0,
        description="How old the previous run may be (META-01). Not judged if not set",
        examples=[90_000],
    )
    pause_file: str | None = Field(
        default=None,
        description="A run waits as long as this file exists: it sends no new statement to any store. "
        "Same as `--pause-file`",
        examples=["verifier.pause"],
    )
    resume_within_s: float = Field(
        default=21_600,
        gt=0,
        description="How long ago a run may have been interrupted for `verifier run --resume` to continue it",
        examples=[3600],
    )


class Schedule(Section):
    """`[schedule]`: when `verifier serve` runs. Times are UTC, in the five fields of cron."""

    cron: str = Field(default="17 2 * * *", description="When the verifier runs", examples=["*/30 * * * *"])
    canary_cron: str | None = Field(
        default=None, description="When the canary runs. `verifier serve` runs none if not set", examples=["5 * * * *"]
    )

    @field_validator("cron", "canary_cron")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None:
            from verifier.profile.cron import cron_trigger  # slow to import, and most profiles keep the default

            cron_trigger(value)
        return value
