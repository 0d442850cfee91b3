package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"moorgate/terminal"
)

func replayCommand() *cobra.Command {
	var options terminal.PlayOptions
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Play a recording in this terminal",
		Long: `Play a recording of a terminal, asciicast v2, in this one; - is standard input.

The output is shown as it was, at its times. What would make this terminal
answer, fill the clipboard, print or change its window is left out. Ctrl-C ends
it; in any case the terminal's modes are reset in the end.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if options.Speed <= 0 {
				return usageError{errors.New("--speed needs a number above 0")}
			}
			if options.Idle < 0 {
				return usageError{errors.New("--idle-limit needs a duration like 2s")}
			}
			in := os.Stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			err := terminal.Play(ctx, in, cmd.OutOrStdout(), options)
			if errors.Is(err, context.Canceled) {
				return nil
			} else if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return nil
		},
	}
	cmd.Flags().Float64Var(&options.Speed, "speed", 1, "play `N` times as fast")
	cmd.Flags().DurationVar(&options.Idle, "idle-limit", 0, "shorten pauses to this `DURATION`")
	return cmd
}
