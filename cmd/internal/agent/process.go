package agent

import "github.com/lockstep-sync/lockstep/cmd/internal/hooks"

// Process is what is set for the whole process, not for a sync.
type Process struct {
	LogLevel, LogFormat string // as in Settings
	LogFile             string // "" is standard error; SIGUSR1 opens it again
	StateDir            string // as in Settings
	User, Confine       string // as in Settings

	Control      string // the control socket; "" is none
	ControlGroup string // who may use it beside root; "" is nobody

	Listen         string // HOST:PORT or the path of a unix socket; "" is none
	ListenCert     string // TLS: certificate and key, PEM
	ListenKey      string
	ListenClientCA string // certificates of clients are asked for, and must be signed by one of these
	ListenToken    string // a file whose first line is the token that a client sends

	PIDFile string // of the command line, not of a config, and so behind all processKeys; "" is none
}

// SyncConfig is one source with its targets.
type SyncConfig struct {
	Name string
	// Targets have settings of their own; those of the source (WatchBackend, PollInterval, NoIndex, OneFileSystem) are
	// the first one's, and are the same in all.
	Targets []Settings
	Hooks   hooks.Set
}
