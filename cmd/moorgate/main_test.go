package main

import (
	"errors"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"moorgate/proxy/enginetest"
)

// TestCommands runs the scripts of testdata/script. Besides testscript's own
// commands they have:
//
//	exits CODE PROGRAM ARGS...  the exit code is this one
//	await SOCKET                until somebody listens there
//	occupy ADDRESS              listens at a tcp address, once other scripts have left it
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ENGINE", enginetest.Start(t).Address)
			e.Setenv("XDG_RUNTIME_DIR", shortDir(t)) // a socket's name has 107 bytes
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "await": awaitSocket, "occupy": occupy},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func awaitSocket(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", args[0]); err == nil {
			c.Close()
			return
		}
	}
	ts.Fatalf("nobody listens on %s", args[0])
}

func occupy(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if l, err := net.Listen("tcp", args[0]); err == nil {
			ts.Defer(func() { l.Close() })
			return
		}
	}
	ts.Fatalf("%s stays in use", args[0])
}
