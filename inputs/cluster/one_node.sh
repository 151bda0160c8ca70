#!/bin/bash
# One node: the campaign has all its ranks, and its job goes back into the queue before its time is
# over. Change the header, and lines that load modules or an environment, to what your cluster wants.
#SBATCH --job-name=pyubias
#SBATCH --nodes=1
#SBATCH --ntasks=2
#SBATCH --time=01:00:00
# two minutes before the end, to this script: a running walker starts anew in the next job
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x.out

again() {
  echo "time is nearly over: back into the queue"
  kill -TERM "$campaign"
  wait "$campaign"
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
}
trap again USR1

# each rank is one process of one core
export OMP_NUM_THREADS=1
# programs that a reference starts with srun or mpirun share the cores with the ranks that wait
export SLURM_OVERLAP=1
# `srun` in place of `mpirun` wants an mpi4py that is built for the MPI of the cluster
mpirun -n "$SLURM_NTASKS" pyubias run "${1:-one_node.yaml}" &
campaign=$!
wait "$campaign"
