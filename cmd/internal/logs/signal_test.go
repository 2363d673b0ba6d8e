package logs

import (
	"os"
	"os/signal"
	"syscall"
)

func notify(c chan os.Signal)     { signal.Notify(c, syscall.SIGUSR1) }
func stopNotify(c chan os.Signal) { signal.Stop(c) }
