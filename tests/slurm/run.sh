#!/usr/bin/env bash
# A sharded pass under a real Slurm on this one machine: a controller and four node daemons of our own, ports and files in
# a scratch folder. One part is killed and queued again on its way; the joined state must be that of the same parts without Slurm.
#   tests/slurm/run.sh SNUG MODEL IMATRIX TEXT     as root, with Debian's slurm-wlm (`tools/setup --packages`)
set -euo pipefail
[ $# -eq 4 ] || { sed -n '4s/^# *//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
snug=$(realpath "$1") model=$(realpath "$2") imatrix=$(realpath "$3") text=$(realpath "$4")
work=$(mktemp -d)
export SLURM_CONF=$work/slurm.conf SNUG=$snug SNUG_HOME=$work/home
daemons=()
stop() { kill "${daemons[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT

host=$(hostname -s)
mkdir -p "$work"/{state,spool,out}
cat >"$SLURM_CONF" <<CONF
ClusterName=snugtest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=36817
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmctldParameters=enable_configless
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool/%n
SlurmctldPidFile=$work/ctld.pid
SlurmdPidFile=$work/%n.pid
SlurmctldLogFile=$work/ctld.log
SlurmdLogFile=$work/%n.log
ReturnToService=2
KillWait=2
SchedulerParameters=sched_min_interval=100000,requeue_delay=1
$(for i in 0 1 2 3; do echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((36820 + i)) CPUs=1 State=UNKNOWN"; done)
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld -D >"$work/ctld.out" 2>&1 & daemons+=($!)
for i in 0 1 2 3; do
  mkdir -p "$work/spool/n$i"
  slurmd -D -N "n$i" >"$work/n$i.out" 2>&1 & daemons+=($!)
done
for _ in $(seq 60); do
  [ "$(sinfo -h -t idle -o %D 2>/dev/null)" = 4 ] && break
  sleep 1
done
sinfo
[ "$(sinfo -h -t idle -o %D)" = 4 ] || { echo "four nodes did not become idle"; exit 1; }

options=("$model" --imatrix "$imatrix" --calib "$text" --calib-chunks 4 --calib-ctx 64 --precision 0.003)
read -r parts joined < <("$here/../../tools/slurm/measure" 4 "$work/out" "${options[@]}")
echo "submitted: parts $parts, join $joined"
for _ in $(seq 100); do  # until part 1 has kept something
  [ -s "$work/out/part-1.snug-state" ] && [ "$(stat -c %s "$work/out/part-1.snug-state")" -gt 600 ] && break
  sleep 0.2
done
scontrol requeue "${parts}_1"
kept=$(stat -c %s "$work/out/part-1.snug-state")
[ "$kept" -gt 600 ] || { echo "part 1 had kept nothing yet"; exit 1; }
echo "part 1 was killed and queued again with $kept bytes kept"
for _ in $(seq 900); do
  [ -z "$(squeue -h -o %i 2>/dev/null)" ] && break
  sleep 1
done
[ -s "$work/out/all.snug-state" ] || { echo "no joined state"; squeue; tail -n 20 "$work"/out/*.log "$work/ctld.log"; exit 1; }
grep -aE "interrupted|known|measured " "$work/out/part-1.log" | cut -c1-100
runs=$(grep -c "^measured " "$work/out/part-1.log" || true)
allocations=$(grep -c "Allocate JobId=.*_1(" "$work/ctld.log" || true)
[ "$allocations" = 2 ] || { echo "part 1 was started $allocations times, not 2"; exit 1; }
[ "$runs" = 1 ] || { echo "part 1 ended $runs times, not once"; exit 1; }

# The same parts without Slurm, one after another.
for i in 0 1 2 3; do
  "$snug" measure "${options[@]}" --shard "$i/4" --state "$work/alone-$i.snug-state" -q >/dev/null
done
"$snug" state merge "$work"/alone-?.snug-state -o "$work/alone.snug-state" -q >/dev/null
cmp "$work/alone.snug-state" "$work/out/all.snug-state"
echo "the joined state has the bytes of a pass without Slurm: $(stat -c %s "$work/alone.snug-state"), $(sha256sum <"$work/alone.snug-state" | cut -c1-16)"
