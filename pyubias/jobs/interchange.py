"""Parsl's interchange, which hands tasks to jobs, as a process that ends with its driver.

Parsl would leave it behind a driver that was killed, and jobs would wait for its tasks until their
time is over.
"""

import runpy

from pyubias.interruption import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("parsl.executors.high_throughput.interchange", run_name="__main__")
