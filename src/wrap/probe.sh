# What an rc.d script would start, without starting it. $0 is the script, $1 is rc.subr(8).
# The script is sourced as /etc/rc does it, with a run_rc_command that tells what it was called for.
exec 3>&1 >/dev/null
. "$1" || exit 70

jr_say()
{
	printf '%s=%s\036' "$1" "$2" >&3
}

jr_pids()
{
	if [ -z "$1" ]; then
		return 0
	elif [ -n "${pidfile}" ]; then
		check_pidfile "${pidfile}" "$1" ${command_interpreter}
	else
		check_process "$1" ${command_interpreter}
	fi
}

run_rc_command()
{
	jr_calls=$((${jr_calls:-0} + 1))
	[ ${jr_calls} -eq 1 ] || return 0
	for jr_word in name command procname pidfile command_interpreter command_args sig_stop sig_reload \
	    start_cmd stop_cmd restart_cmd status_cmd reload_cmd; do
		eval jr_value=\"\${${jr_word}}\"
		jr_say ${jr_word} "${jr_value}"
	done
	for jr_word in program flags user group groups chroot chdir svcj profiles instances \
	    nice env env_file fib cpuset limits login_class umask prepend; do
		eval jr_value=\"\${${name}_${jr_word}}\"
		jr_say NAME_${jr_word} "${jr_value}"
	done
	eval jr_value=\"\${${name}_program:-\${command}}\"
	jr_say pids "$(jr_pids "${procname:-${jr_value}}")"
}

trap 'jr_say calls ${jr_calls:-0}' EXIT
set -- rcvar
. "$0"
