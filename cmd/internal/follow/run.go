package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/follow/hush"
)

var _ = hush.Restore()

// DefaultInterval is between two questions: twice a second looks alive, and costs next to nothing.
const DefaultInterval = 500 * time.Millisecond

// patience is how long an answer may take before the agent counts as gone.
const patience = 5 * time.Second

// framesPerSecond bounds how often the terminal is written to: a key is answered at once for people, and an idle
// view hardly wakes up.
const framesPerSecond = 20

// ErrView says that the view itself broke. The terminal is as it was before.
var ErrView = errors.New("the view broke")

// Options says where to show it. The zero value of In is the terminal, that of Interval DefaultInterval.
type Options struct {
	In       io.Reader
	Out      io.Writer
	Interval time.Duration
	Terminal bool // Out is a terminal that can move its cursor: a picture; else lines
	// Width and Height are the picture's where the terminal does not tell its size; 0 is 80 and 24.
	Width, Height int
}

// Run shows what fetch returns until somebody quits or ctx is done, both of which are no error. fetch must obey its ctx,
// and is never called twice at a time; what it returns is not changed. Run waits for it.
func Run(ctx context.Context, fetch func(context.Context) (api.Agent, error), o Options) error {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Width <= 0 || o.Height <= 0 {
		o.Width, o.Height = 80, 24
	}
	if o.Terminal {
		return picture(ctx, fetch, o)
	}
	return lines(ctx, fetch, o)
}

// poll asks time after time, and tells what came of it, until ctx is done or tell says that it is enough.
func poll(ctx context.Context, fetch func(context.Context) (api.Agent, error), every time.Duration, tell func(status) error) error {
	for {
		ask, done := context.WithTimeout(ctx, patience)
		a, err := fetch(ask)
		if errors.Is(err, context.DeadlineExceeded) && ask.Err() != nil {
			err = fmt.Errorf("no answer within %s", patience)
		}
		done()
		if ctx.Err() != nil {
			return nil
		}
		if err := tell(status{At: time.Now(), Agent: a, Err: err}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// lines writes a line for each change of a state.
func lines(ctx context.Context, fetch func(context.Context) (api.Agent, error), o Options) error {
	var n news
	return poll(ctx, fetch, o.Interval, func(s status) error {
		for _, l := range n.tell(s) {
			if _, err := fmt.Fprintln(o.Out, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// picture fills the terminal.
func picture(ctx context.Context, fetch func(context.Context) (api.Agent, error), o Options) error {
	within, end := context.WithCancelCause(ctx)
	defer end(nil)
	v := &guarded{model: newModel(newTheme(o.Out, os.Getenv), o.Width, o.Height, time.Now()), end: end}
	// Signals are the caller's affair, who ends ctx: bubbletea knows but two of them.
	opts := []tea.ProgramOption{tea.WithContext(within), tea.WithOutput(o.Out), tea.WithAltScreen(), tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond), tea.WithFilter(onlyIfStoppable)}
	if o.In != nil {
		opts = append(opts, tea.WithInput(o.In))
	}
	p := tea.NewProgram(v, opts...)
	var all sync.WaitGroup
	all.Go(func() {
		poll(within, fetch, o.Interval, func(s status) error { p.Send(s); return nil })
	})
	all.Go(func() {
		for second := time.NewTicker(time.Second); ; {
			select {
			case <-within.Done():
				second.Stop()
				return
			case now := <-second.C:
				p.Send(tick(now))
			}
		}
	})
	_, err := p.Run()
	broke := context.Cause(within)
	end(nil)
	all.Wait()
	switch {
	case errors.Is(broke, ErrView):
		return broke
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("show on the terminal: %w", err)
	}
	return nil
}

// onlyIfStoppable drops ctrl-z where no shell is there to go on with it: the kernel stops no orphaned process group
// (setpgid(2)), and bubbletea would wait for a SIGCONT that nobody sends.
func onlyIfStoppable(_ tea.Model, msg tea.Msg) tea.Msg {
	if _, ok := msg.(tea.SuspendMsg); !ok {
		return msg
	}
	parent := os.Getppid()
	group, err := unix.Getpgid(parent)
	session, errSession := unix.Getsid(parent)
	own, errOwn := unix.Getsid(0)
	if errors.Join(err, errSession, errOwn) != nil || group == unix.Getpgrp() || session != own {
		return nil
	}
	return msg
}

// guarded is the model as bubbletea wants it. A panic in it ends the program as ctx would, so that the terminal
// is restored before anything is said about it.
type guarded struct {
	model model
	end   context.CancelCauseFunc
}

func (g *guarded) Init() tea.Cmd { return nil }

func (g *guarded) Update(msg tea.Msg) (_ tea.Model, cmd tea.Cmd) {
	defer g.catch()
	g.model, cmd = g.model.Update(msg)
	return g, cmd
}

func (g *guarded) View() (text string) {
	defer g.catch()
	return g.model.View()
}

func (g *guarded) catch() {
	if r := recover(); r != nil {
		g.end(fmt.Errorf("%w: %v; please report it; --plain does without\n%s", ErrView, r, debug.Stack()))
	}
}
