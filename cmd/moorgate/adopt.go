package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"moorgate/authz/identity"
	"moorgate/authz/owner"
	"moorgate/proxy"
	"moorgate/router"
)

func adoptCommand() *cobra.Command {
	var a adoption
	var file string
	kinds := make([]string, len(owner.Adoptable))
	for i, k := range owner.Adoptable {
		kinds[i] = string(k)
	}
	cmd := &cobra.Command{
		Use:   "adopt --config FILE --user NAME KIND OBJECT...",
		Short: "Hand objects over to a user",
		Long: `Hand objects over to a user: what was made outside moorgate, which belongs to
nobody, or what is another's.

KIND is ` + strings.Join(kinds[:len(kinds)-1], ", ") + " or " + kinds[len(kinds)-1] + `. OBJECT is a name or
an id as docker takes it. What is handed over is written to the file at
adopted: in the configuration, one line of JSON each, with the object's whole
id: another object that gets its name later is not meant. To take it back,
remove the line. moorgate serve takes notice within seconds.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := usage(cobra.MinimumNArgs(2))(cmd, args); err != nil {
				return err
			}
			if !slices.Contains(kinds, args[0]) {
				return usageError{fmt.Errorf("%q is no KIND: write %s", args[0], strings.Join(kinds, ", "))}
			}
			return nil
		},
		ValidArgs: kinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" || a.user == "" {
				return usageError{errors.New("adopt needs --config FILE and --user NAME")}
			}
			if !identity.ValidUser(a.user) {
				return usageError{fmt.Errorf("--user %q cannot be a user's name: use letters, digits and _ . @ + -, a letter, digit or _ first", a.user)}
			}
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			a.kind, a.objects = router.Kind(args[0]), args[1:]
			return a.write(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE`")
	cmd.Flags().StringVar(&a.user, "user", "", "`NAME` of who gets the objects")
	cmd.Flags().StringVar(&a.engine, "engine", "", "`NAME` of the engine that has them; the first if left out")
	return cmd
}

// adoption is what the command is to do.
type adoption struct {
	user, engine string
	kind         router.Kind
	objects      []string
}

// write finds all objects and then hands them over: all or none.
func (a adoption) write(ctx context.Context, c *Config, out io.Writer) error {
	if c.Adopted == "" {
		return errors.New("the configuration names no file for this: write adopted: /var/lib/moorgate/adopted.jsonl")
	}
	if a.engine == "" {
		a.engine = c.order[0]
	}
	config, ok := c.Engines[a.engine]
	if !ok {
		return fmt.Errorf("no engine is called %q: the configuration has %s", a.engine, strings.Join(c.order, ", "))
	}
	engine, err := proxy.NewEngine(a.engine, config)
	if err != nil {
		return err
	}
	defer engine.Close()
	var found []owner.Adoption
	var faults []error
	for _, name := range a.objects {
		one, err := owner.Find(func(path string) ([]byte, error) { return engine.Get(ctx, path) }, a.engine, a.kind, name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		one.User = a.user
		found = append(found, one)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if err := owner.Adopt(c.Adopted, found...); err != nil {
		return err
	}
	for _, one := range found {
		fmt.Fprintln(out, one.ID)
	}
	return nil
}
