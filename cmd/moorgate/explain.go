package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/proxy"
	"moorgate/router"
)

// exitDenied is explain's exit code for a call that would be denied.
const exitDenied = 3

func explainCommand() *cobra.Command {
	var file, user, body string
	cmd := &cobra.Command{
		Use:   "explain --config FILE --user NAME METHOD PATH",
		Short: "Tell what would be decided on a request, and why",
		Long: `Judge one request as serve would and tell what each check says and what would
be sent to the Engine. No Engine and no authorization plugin is asked: images
are judged by the names in the request.

PATH is as on the wire, "/v1.41/images/create?fromImage=busybox&tag=1".
Exit code: 0 allowed, 3 denied.`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" || user == "" {
				return usageError{errors.New("explain needs --config FILE and --user NAME")}
			}
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			return explain(cmd.Context(), c, question{user, args[0], args[1], body}, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE`")
	cmd.Flags().StringVar(&user, "user", "", "`NAME` of the caller, of users: in the configuration")
	cmd.Flags().StringVar(&body, "body", "", "`FILE` with the request's body; - is standard input")
	return cmd
}

// question is what explain is asked.
type question struct{ user, method, path, body string }

// errDenied ends explain with its own exit code; what there is to say has been
// printed.
var errDenied = errors.New("denied")

func explain(ctx context.Context, c *Config, q question, out io.Writer) error {
	users, err := identity.New(c.Config, nil)
	if err != nil {
		return err
	}
	who, ok := users.Named(q.user)
	if !ok {
		return fmt.Errorf("no user is called %q: write one of users: in the configuration", q.user)
	}
	judge, err := c.chain(judges{engines: nobody{}, offline: true})
	if err != nil {
		return err
	}
	r, err := q.request()
	if err != nil {
		return err
	}
	denied := false
	mux := router.NewMux(router.Table(), router.HandlerFunc(func(_ http.ResponseWriter, r *http.Request, call *router.Call) error {
		verdicts, rec, err := judge.chain.Explain(ctx, who, call)
		if err == nil {
			if _, err = c.named()(call.Engine); err != nil {
				rec.Decision = audit.Deny
			}
		}
		tell(out, who, call, verdicts, rec, err)
		if denied = err != nil; denied {
			return nil
		}
		return show(ctx, out, call)
	}))
	mux.Found = c.found
	mux.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) {
		denied = true
		fmt.Fprintf(out, "refused before anyone is asked: %v\n", err)
	}
	mux.ServeHTTP(httptest.NewRecorder(), r)
	if denied {
		return errDenied
	}
	return nil
}

// named picks engines that are not there but for their names.
func (c *Config) named() proxy.Pick {
	var engines []*proxy.Engine
	for _, name := range c.order {
		engines = append(engines, &proxy.Engine{Name: name})
	}
	return proxy.PickFrom(engines)
}

// request is the question as a request.
func (q question) request() (*http.Request, error) {
	var body []byte
	var err error
	switch q.body {
	case "":
	case "-":
		body, err = io.ReadAll(os.Stdin)
	default:
		body, err = os.ReadFile(q.body)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	r, err := http.NewRequest(strings.ToUpper(q.method), q.path, bytes.NewReader(body))
	if err != nil || !strings.HasPrefix(q.path, "/") {
		return nil, usageError{fmt.Errorf("%s %s is no request: write GET /v1.41/containers/json", q.method, q.path)}
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

func tell(out io.Writer, who identity.Identity, call *router.Call, verdicts []authz.Verdict, rec audit.Record, err error) {
	fmt.Fprintf(out, "user      %s (roles: %s)\naction    %s\nengine    %s\n", who.User, strings.Join(who.Roles, ", "), call.Action, call.Engine)
	for _, ref := range rec.Refs {
		fmt.Fprintf(out, "names     %s\n", ref)
	}
	for _, v := range verdicts {
		word := "denies"
		if v.Decision.Allow && v.Err == nil {
			word = "allows"
		}
		if v.DryRun {
			word += " (dry run)"
		}
		fmt.Fprintf(out, "check     %s %s", v.Name, word)
		for _, why := range []string{v.Decision.Rule, v.Decision.Reason} {
			if why != "" {
				fmt.Fprintf(out, ": %s", why)
			}
		}
		if v.Err != nil {
			fmt.Fprintf(out, ": %v", v.Err)
		}
		fmt.Fprintln(out)
	}
	decision := rec.Decision
	if decision == "" && err != nil {
		decision = audit.Deny
	}
	fmt.Fprintf(out, "decision  %s\n", decision)
	if err != nil {
		fmt.Fprintf(out, "answer    %v\n", err)
	} else if rec.Decision == audit.WouldDeny {
		fmt.Fprintf(out, "would be  %s: %s\n", rec.Rule, rec.Reason)
	}
}

// show prints the request that would be sent.
func show(ctx context.Context, out io.Writer, call *router.Call) error {
	r, err := call.Request(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s %s HTTP/1.1\n", r.Method, r.URL.RequestURI())
	for key, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(out, "%s: %s\n", key, v)
		}
	}
	if call.Body != nil {
		fmt.Fprintf(out, "\n%s\n", call.Body.Bytes())
	}
	return nil
}

// nobody answers for Engines where none may be asked: nothing is there.
type nobody struct{}

func (nobody) none() error {
	return &router.Error{Status: http.StatusNotFound, Message: "no Engine is asked"}
}

func (n nobody) Get(context.Context, string, string) ([]byte, error) { return nil, n.none() }

func (n nobody) Stream(context.Context, string, string) (io.ReadCloser, error) { return nil, n.none() }

func (n nobody) Post(context.Context, string, string, []byte) ([]byte, error) { return nil, n.none() }
