#!/bin/sh
# A Slurm of two nodes, both this machine, for the tests that need one. Wants root and the packages
# slurm-wlm and munge of Debian or Ubuntu.
#
#   tests/cluster/slurm.sh start FOLDER    prints nothing; then `sbatch` and `squeue` work with
#                                          SLURM_CONF=FOLDER/slurm.conf
#   tests/cluster/slurm.sh stop FOLDER     ends what was started with this folder
set -eu

task=${1:?start or stop}
folder=$(realpath -m "${2:?a folder for its state}")
export SLURM_CONF="$folder/slurm.conf"

end() { # the process of a file that holds its number
  [ -f "$1" ] || return 0
  kill "$(cat "$1")" 2>/dev/null || true
  while kill -0 "$(cat "$1" 2>/dev/null)" 2>/dev/null; do sleep 0.1; done
  rm -f "$1"
}

stop() {
  end "$folder/slurmctld.pid"
  for node in n1 n2; do end "$folder/slurmd-$node.pid"; done
  end "$folder/munged.pid"
}

start() {
  mkdir -p "$folder/spool/n1" "$folder/spool/n2" "$folder/state"
  chmod 755 "$folder"
  [ -f "$folder/munge.key" ] || head -c 128 /dev/urandom >"$folder/munge.key"
  # munged accepts no folder that others could write to, which the one for temporary files is
  run=/run/pyubias-munge
  mkdir -p "$run"
  cp "$folder/munge.key" "$run/key"
  chown -R munge: "$run"
  chmod 755 "$run"
  chmod 400 "$run/key"
  setpriv --reuid munge --regid munge --clear-groups munged --force --key-file "$run/key" \
    --socket "$run/socket" --pid-file "$run/pid" --log-file "$run/log" --seed-file "$run/seed"
  cp "$run/pid" "$folder/munged.pid"

  # nproc takes the number of threads that a shell asks of OpenMP for that of the cores
  cores=$(env --unset=OMP_NUM_THREADS --unset=OMP_THREAD_LIMIT nproc)
  host=$(hostname -s)
  cat >"$SLURM_CONF" <<CONFIG
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
AuthType=auth/munge
AuthInfo=socket=$run/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
SwitchType=switch/none
ReturnToService=2
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=16821 CPUs=$cores State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=16822 CPUs=$cores State=UNKNOWN
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
CONFIG
  slurmctld
  for node in n1 n2; do slurmd -N $node; done
  for _ in $(seq 100); do
    if [ "$(sinfo --noheader --format='%t %D' 2>/dev/null)" = "idle 2" ]; then return; fi
    sleep 0.2
  done
  echo "the nodes are not idle after 20 s: see $folder/slurmctld.log" >&2
  exit 1
}

case $task in
start) start ;;
stop) stop ;;
*)
  echo "start or stop, got $task" >&2
  exit 2
  ;;
esac
