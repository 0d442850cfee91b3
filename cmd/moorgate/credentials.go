package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"moorgate/authz/identity"
)

func tokenCommand() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "token [--user NAME]",
		Short: "Make a token for a user",
		Long: `Make a token, and the line by which the configuration knows it.

The token is shown this once; moorgate keeps its SHA-256 only. Token and line
go to standard output, how to use them to standard error.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("user") && !identity.ValidUser(user) {
				return usageError{fmt.Errorf("--user %q cannot be a user's name: use letters, digits and _ . @ + -, a letter, digit or _ first", user)}
			}
			if user == "" {
				user = "NAME"
			}
			token, line := identity.NewToken()
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", token, line); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), `
The first line is the token: keep it now, it is not shown again.
The second is for the configuration:

  users:
    %s: { tokens: ["sha256:..."] }

Who has the token writes in ~/.docker/config.json:

  { "HttpHeaders": { "Authorization": "Bearer TOKEN" } }
`, user)
			return err
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "`NAME` of the user in the configuration")
	return cmd
}

// shortPassword is the length below which a password is warned about: NIST
// SP 800-63B asks for 15 where it is all that protects.
const shortPassword = 15

func passwordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Hash a password for the configuration",
		Long: `Read a password and print its argon2id hash for the configuration.

From a terminal it is read twice, without echo; from a pipe once, one line. The
hash goes to standard output, everything else to standard error.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := askPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if n := utf8.RuneCountInString(password); n < shortPassword {
				fmt.Fprintf(cmd.ErrOrStderr(), "Warning: %d characters are quickly guessed: use %d or more\n", n, shortPassword)
			}
			if _, err = fmt.Fprintln(cmd.OutOrStdout(), identity.HashPassword(password)); err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.ErrOrStderr(), "\nWrite it in the configuration, or in a file that it names with file:PATH:\n\n  users:\n    NAME: { password: \"$argon2id$...\" }\n")
			return err
		},
	}
}

// askPassword reads a password that can be one.
func askPassword(in io.Reader, out io.Writer) (string, error) {
	password, err := readPassword(in, out)
	switch {
	case err != nil:
		return "", err
	case password == "":
		return "", errors.New("password: it is empty: write one")
	case len(password) > identity.MaxPassword:
		return "", fmt.Errorf("password: it is longer than %d bytes: write a shorter one", identity.MaxPassword)
	case !utf8.ValidString(password) || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", errors.New("password: it holds a control character or is not UTF-8: write another")
	}
	return password, nil
}

func readPassword(in io.Reader, out io.Writer) (string, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return readTwice(f, out)
	}
	line, err := bufio.NewReader(io.LimitReader(in, identity.MaxPassword+2)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("password: reading standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// readTwice reads from a terminal without echo, and gives its echo back also
// when a signal ends the process.
func readTwice(terminal *os.File, out io.Writer) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("password: reading from the terminal: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	defer close(done)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			_ = term.Restore(fd, before)
			fmt.Fprintln(out)
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	var read [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(out, prompt)
		line, err := term.ReadPassword(fd)
		fmt.Fprintln(out)
		if err != nil {
			return "", fmt.Errorf("password: reading from the terminal: %w", err)
		}
		read[i] = string(line)
	}
	if read[0] != read[1] {
		return "", errors.New("password: the two are not the same: try again")
	}
	return read[0], nil
}
