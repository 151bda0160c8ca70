#!/bin/sh
# A Slurm of three nodes, all this machine, for the tests that need one. Wants root and the packages
# slurm-wlm and munge of Debian or Ubuntu. n1 and n2 are the partition `debug` and have the cores of the
# machine. n3, in `cpu` and `gpu`, claims to be as large as the node that inputs/cluster is written for.
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
  for node in n1 n2 n3; do end "$folder/slurmd-$node.pid"; done
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
  # Slurm counts and numbers the files of GPUs, and opens none
  for k in 0 1 2 3; do : >"$folder/gpu$k"; done
  echo "NodeName=n3 Name=gpu File=$folder/gpu[0-3]" >"$folder/gres.conf"
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
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=16821 CPUs=$cores State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=16822 CPUs=$cores State=UNKNOWN
NodeName=n3 NodeHostname=$host NodeAddr=127.0.0.1 Port=16823 CPUs=32 Gres=gpu:4 State=UNKNOWN
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
PartitionName=cpu Nodes=n3 MaxTime=INFINITE State=UP OverSubscribe=FORCE:16
PartitionName=gpu Nodes=n3 MaxTime=INFINITE State=UP OverSubscribe=FORCE:16
CONFIG
  slurmctld
  for node in n1 n2 n3; do slurmd -N $node; done
  for _ in $(seq 100); do
    if [ "$(sinfo --noheader --Node --format='%N %t' 2>/dev/null | sort --unique | grep --count idle)" = 3 ]; then return; fi
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
