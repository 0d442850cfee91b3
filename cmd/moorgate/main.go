// Command moorgate is the gate between people and a Docker Engine.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"moorgate/router"
)

// The linker sets these: see the Makefile.
var (
	version = "dev"
	commit  = "unknown"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run()) }

// usageError is wrong usage of a command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func run() int {
	cmd, err := command().ExecuteC()
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errDenied):
		return exitDenied
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "moorgate: %v\n", err)
		if cmd.HasParent() {
			fmt.Fprintf(os.Stderr, "\nUsage:  %s\n\n", cmd.UseLine())
		}
		fmt.Fprintf(os.Stderr, "See '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "moorgate: %v\n", err)
	return exitFailed
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "moorgate",
		Short:         "The gate between people and a Docker Engine",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate(fmt.Sprintf("moorgate version %s, build %s\n", version, commit))
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), checkCommand(), explainCommand(), adoptCommand(), routesCommand(), tokenCommand(), passwordCommand(), replayCommand(), versionCommand())
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = usage(topic)
	}
	return root
}

// topic objects to help about what is no command.
func topic(help *cobra.Command, args []string) error {
	if _, rest, err := help.Root().Find(args); err != nil || len(rest) > 0 {
		return fmt.Errorf("unknown help topic: %s", strings.Join(args, " "))
	}
	return nil
}

// usage makes a command's objection to its arguments a usageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func serveCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run: stand between callers and the Engine",
		Long: `Run until SIGTERM or SIGINT.

Without --config it is personal: a unix socket that only you may use, with
everything allowed and recorded, in front of the Engine at DOCKER_HOST or
/var/run/docker.sock.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), file, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE`")
	return cmd
}

func checkCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Tell all faults of a configuration, each with its line",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usageError{errors.New("check needs --config FILE")}
			}
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			for _, note := range c.notices() {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", note)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: no faults\n", file)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE`")
	return cmd
}

func routesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "routes",
		Short: "Show the route table: method, path, action, kind",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "METHOD\tPATH\tACTION\tKIND")
			for _, r := range router.Table() {
				for _, action := range append([]string{r.Action}, r.Others...) {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Method, r.Pattern, action, r.Kind)
				}
			}
			return w.Flush()
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show version, commit and Go version",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "moorgate %s\ncommit   %s\ngo       %s %s/%s\n",
				version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
