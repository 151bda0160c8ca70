#!/bin/sh
# A Grid Engine of one node, this machine, for the tests that need one. Wants root and the packages
# gridengine-master, gridengine-exec and gridengine-client of Debian, whose own cluster stays as it is.
#
#   tests/cluster/sge.sh start FOLDER      prints nothing; then `qsub` and `qstat` work after
#                                          `. FOLDER/settings.sh`
#   tests/cluster/sge.sh stop FOLDER       ends what was started with this folder
set -eu

task=${1:?start or stop}
folder=$(realpath -m "${2:?a folder for its state}")
export SGE_ROOT="$folder/root" SGE_CELL=default SGE_QMASTER_PORT=16444 SGE_EXECD_PORT=16445
common="$SGE_ROOT/$SGE_CELL/common"

end() { # the process of a file that holds its number
  [ -f "$1" ] || return 0
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$1"
}

stop() {
  for file in "$folder"/execd/*/execd.pid; do end "$file"; done
  end "$folder/qmaster/qmaster.pid"
}

until_it_works() { # a command
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "'$*' fails for 20 s: see $folder/qmaster/messages"
  exit 1
}

start() {
  mkdir -p "$common" "$folder/spool" "$folder/qmaster" "$folder/execd"
  for part in bin lib util utilbin; do ln -sfn "/var/lib/gridengine/$part" "$SGE_ROOT/$part"; done
  host=$(hostname)
  sed "s|^admin_user.*|admin_user none|; s|/var/spool/gridengine/spooldb|$folder/spool|
    s|/var/spool/gridengine/qmaster|$folder/qmaster|" \
    /usr/share/gridengine/default-bootstrap >"$common/bootstrap"
  echo "$host" >"$common/act_qmaster"
  # where the address of this machine is that of the loopback
  echo "$host localhost" >"$common/host_aliases"
  /usr/share/gridengine/scripts/init_cluster "$SGE_ROOT" "$SGE_CELL" "$folder/spool" root >/dev/null
  cat >"$folder/settings.sh" <<SETTINGS
export SGE_ROOT='$SGE_ROOT' SGE_CELL=$SGE_CELL
export SGE_QMASTER_PORT=$SGE_QMASTER_PORT SGE_EXECD_PORT=$SGE_EXECD_PORT
SETTINGS
  sge_qmaster
  until_it_works qconf -sh

  mkdir -p "$folder/files"
  cd "$folder/files"
  # jobs of root, which start and are seen to end within a second
  qconf -sconf | sed "s/^min_\([ug]\)id.*/min_\1id 0/
    s|^execd_spool_dir.*|execd_spool_dir $folder/execd|; /^#/d" >global
  qconf -Mconf global
  qconf -ssconf | sed "s/^schedule_interval.*/schedule_interval 0:0:1/
    s/^flush_\(.*\)_sec.*/flush_\1_sec 1/" >scheduler
  qconf -Msconf scheduler
  qconf -as "$host"
  cat >host <<HOST
hostname $host
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
HOST
  qconf -Ae host
  cat >smp <<PARALLEL
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule \$pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
PARALLEL
  qconf -Ap smp
  queue >debug
  qconf -Aq debug
  sge_execd
  # until the node has told its load
  until_it_works sh -c "qstat -f -q debug | grep -q 'lx-[a-z0-9]* *\$'"
}

queue() { # several jobs of two cores at a time, however many the machine has
  cat <<QUEUE
qname debug
hostlist $host
seq_no 0
pe_list smp
slots 8
qtype BATCH
shell /bin/sh
shell_start_mode unix_behavior
tmpdir /tmp
priority 0
rerun FALSE
processors UNDEFINED
nsuspend 1
suspend_interval 00:05:00
min_cpu_interval 00:05:00
notify 00:00:60
initial_state default
QUEUE
  for key in load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method \
    suspend_method resume_method terminate_method owner_list user_lists xuser_lists \
    subordinate_list complex_values projects xprojects calendar; do
    echo "$key NONE"
  done
  for limit in rt cpu fsize data stack core rss vmem; do
    echo "s_$limit INFINITY"
    echo "h_$limit INFINITY"
  done
}

case $task in
start)
  mkdir -p "$folder"
  trap '[ $? = 0 ] || cat "$folder/start.log" >&2' EXIT
  start >"$folder/start.log" 2>&1
  ;;
stop) stop ;;
*)
  echo "start or stop, got $task" >&2
  exit 2
  ;;
esac
