#!/bin/bash
# The driver of a campaign in jobs as a job of its own, for clusters that end long processes on login
# nodes: one core, days of time, and back into the queue at its end.
#   sbatch driver.sh jobs.yaml
#SBATCH --job-name=pyubias-driver
#SBATCH --ntasks=1
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x.out

again() {
  kill -TERM "$campaign"
  wait "$campaign"
  scontrol requeue "$job"
  exit 0
}
trap again USR1

# the jobs that the driver asks for must not take over what is true of its own job
job=$SLURM_JOB_ID
for name in $(compgen -e SLURM_ | grep -v '^SLURM_CONF$'); do unset "$name"; done
pyubias run "${1:-jobs.yaml}" &
campaign=$!
wait "$campaign"
