"""Ray jobs: submit a script to a running cluster, watch it, stop it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import ServiceError

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
"""Statuses that a job does not leave."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """One job as the server lists it. Times are seconds since 1970, None while unknown."""

    job_id: str
    status: str
    entrypoint: str
    started: float | None
    ended: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Jobs:
    """The job server of one cluster.

    Attributes:
        address: URL of its dashboard, e.g. ``"http://127.0.0.1:8603"``.
        token_path: File with the cluster's token; None for a cluster without one.
    """

    address: str
    token_path: Path | None = None

    def submit(
        self,
        entrypoint: str,
        working_dir: Path,
        submission_id: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Start ``entrypoint`` (a shell command) in a copy of ``working_dir``; its id.

        Args:
            entrypoint: e.g. ``"python ray_jobs/ingest.py docs --corpus handbook"``.
            working_dir: Sent to the cluster; what its .gitignore and .rayignore name stays here.
            submission_id: A chosen id; makes submitting twice an error instead of two jobs.
            env: Variables of the job. They are readable by everyone who sees the job list: name
                the paths of secret files, never the secrets.

        Raises:
            ServiceError: The server is not reachable, refuses the token or the job.
        """
        runtime_env: dict[str, Any] = {"working_dir": str(working_dir)}
        if env:
            runtime_env["env_vars"] = dict(env)
        with self._client() as client:
            job_id = client.submit_job(
                entrypoint=entrypoint, submission_id=submission_id, runtime_env=runtime_env
            )
        return str(job_id)

    def status(self, job_id: str) -> str:
        """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.

        Raises:
            ServiceError: As ``submit``, or there is no such job.
        """
        with self._client() as client:
            return str(client.get_job_status(job_id).value)

    def wait(self, job_id: str, timeout: float | None = None, poll: float = 0.5) -> str:
        """Block until the job has ended; its last status.

        Args:
            job_id: The job.
            timeout: Seconds after which to give up; None = never.
            poll: Seconds between two looks.

        Raises:
            ServiceError: As ``status``, or the job still runs after ``timeout``.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.status(job_id)) not in ENDED:
            if deadline is not None and time.monotonic() > deadline:
                raise ServiceError(
                    f"job {job_id} is still {status} after {timeout} s; look at its logs, wait "
                    "longer or stop it"
                )
            time.sleep(poll)
        return status

    def logs(self, job_id: str) -> str:
        """All that the job has printed so far."""
        with self._client() as client:
            return str(client.get_job_logs(job_id))

    def stop(self, job_id: str) -> bool:
        """Ask the job to end; it gets 3 s before it is killed. False if it had ended already."""
        with self._client() as client:
            return bool(client.stop_job(job_id))

    def list_jobs(self) -> list[JobInfo]:
        """All submitted jobs the server remembers, newest first."""
        with self._client() as client:
            found = [job for job in client.list_jobs() if job.submission_id]
        jobs = [
            JobInfo(
                job.submission_id,
                str(job.status.value),
                job.entrypoint,
                None if job.start_time is None else job.start_time / 1000,
                None if job.end_time is None else job.end_time / 1000,
                job.message or "",
            )
            for job in found
        ]
        return sorted(jobs, key=lambda job: (-(job.started or 0.0), job.job_id))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        import requests
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        try:
            yield JobSubmissionClient(self.address, headers=self._headers())
        except AuthenticationError as error:
            raise ServiceError(
                f"the job server at {self.address} refuses the token of {self.token_path}; name "
                "the file this cluster was started with, or run `workbench up` again"
            ) from error
        except (ConnectionError, requests.exceptions.RequestException) as error:
            raise ServiceError(
                f"no job server answers at {self.address}; start one with `workbench up` or "
                "correct the address"
            ) from error
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1].rstrip(".")
            raise ServiceError(
                f"the job server at {self.address} refused: {reason}. Check the job's id with "
                "`workbench jobs list`"
            ) from error

    def _headers(self) -> dict[str, str]:
        if self.token_path is None:
            return {}
        try:
            token = self.token_path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise ServiceError(
                f"cannot read the token file {self.token_path}: {error.strerror}; start the "
                "services with `workbench up`"
            ) from error
        return {"Authorization": f"Bearer {token}"}
