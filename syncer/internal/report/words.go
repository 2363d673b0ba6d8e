package report

// Words are what rsync says of an exit code (rsync 3.5.0 log.c, rerr_names): who looks for trouble in logs looks for them.
func (c Code) Words() string {
	switch c {
	case CodeOK:
		return "success"
	case CodeUsage:
		return "syntax or usage error"
	case CodeProtocol:
		return "protocol incompatibility"
	case CodeSelect:
		return "errors selecting input/output files, dirs"
	case CodeUnsupported:
		return "requested action not supported"
	case CodeStart:
		return "error starting client-server protocol"
	case CodeSocket:
		return "error in socket IO"
	case CodeFile:
		return "error in file IO"
	case CodeStream:
		return "error in rsync protocol data stream"
	case CodeIPC:
		return "error in IPC code"
	case CodeSignal:
		return "received SIGINT, SIGTERM, or SIGHUP"
	case CodePartial:
		return "some files/attrs were not transferred (see previous errors)"
	case CodeVanished:
		return "some files vanished before they could be transferred"
	case CodeMaxDelete:
		return "the --max-delete limit stopped deletions"
	case CodeTimeout:
		return "timeout in data send/receive"
	case CodeConTimeout:
		return "timeout waiting for daemon connection"
	case CodeNoCommand:
		return "remote command not found"
	}
	return "unexplained error"
}
