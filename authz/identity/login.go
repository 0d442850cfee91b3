package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/oauth2"
)

// errNoIssuer is for a configuration without oidc.
var errNoIssuer = errors.New("this moorgate has no issuer: ask for an oidc: section")

// AuthURL is where a browser is sent to log in at the issuer, which sends it
// back to redirect with state and a code. challenge is the S256 challenge (RFC
// 7636) of the verifier that Redeem is given; nonce comes back in the token.
func (d *Directory) AuthURL(ctx context.Context, redirect, state, nonce, challenge string) (string, error) {
	c, err := d.codeFlow(ctx, redirect)
	if err != nil {
		return "", err
	}
	return c.AuthCodeURL(state, oauth2.SetAuthURLParam("nonce", nonce),
		oauth2.SetAuthURLParam("code_challenge", challenge), oauth2.SetAuthURLParam("code_challenge_method", "S256")), nil
}

// Redeem gives the user for whom the issuer made the code. An error may be a
// *Refusal, as where the issuer does not answer.
func (d *Directory) Redeem(ctx context.Context, redirect, code, verifier, nonce string) (*Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, maxVerifying)
	defer cancel()
	c, err := d.codeFlow(ctx, redirect)
	if err != nil {
		return nil, err
	}
	// What the issuer says of a code, 400 among it, is an answer: this is not
	// the client that takes it for a failure. Nor does a code follow redirects.
	client := &http.Client{Timeout: issuerTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("its token endpoint redirects")
	}}
	given, err := c.Exchange(context.WithValue(ctx, oauth2.HTTPClient, client), code, oauth2.VerifierOption(verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError:
		return nil, fmt.Errorf("%s refused the login (%.100q): try again", d.issuer.Issuer, refused.ErrorCode)
	case err != nil:
		d.issuer.log(fmt.Errorf("oidc: redeeming a code at %s: %w", d.issuer.Issuer, err))
		return nil, d.issuer.away(firstRetry)
	}
	text, _ := given.Extra("id_token").(string)
	if text == "" {
		return nil, fmt.Errorf("%s gave no id_token: allow moorgate the scope openid there", d.issuer.Issuer)
	}
	token, err := d.issuer.verify(ctx, text)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 {
		return nil, errors.New("the token was made for another login: try again")
	}
	return d.holder(token)
}

// codeFlow is the issuer as the oauth2 package has it.
func (d *Directory) codeFlow(ctx context.Context, redirect string) (*oauth2.Config, error) {
	if d.issuer == nil {
		return nil, errNoIssuer
	}
	said, err := d.issuer.ready(ctx)
	if err != nil {
		return nil, err
	}
	for _, endpoint := range []string{said.endpoint.AuthURL, said.endpoint.TokenURL} {
		if u, err := url.Parse(endpoint); err != nil || !d.issuer.secure(u) {
			d.issuer.log(fmt.Errorf("oidc: the endpoint %s of %s is not https", quoteShort(endpoint), d.issuer.Issuer))
			return nil, d.issuer.away(lastRetry)
		}
	}
	secret, err := d.issuer.Secret()
	if err != nil {
		return nil, fmt.Errorf("oidc: client_secret: %w", err)
	}
	return &oauth2.Config{
		ClientID: d.issuer.ClientID, ClientSecret: secret, Endpoint: said.endpoint, RedirectURL: redirect,
		Scopes: d.issuer.scopes(said.scopes),
	}, nil
}

// scopes are those that the claims need. An issuer that does not list a scope
// may refuse whoever asks for it.
func (c *OIDC) scopes(supported []string) []string {
	ask := []string{"openid"}
	add := func(scope string) {
		if len(supported) == 0 && scope != "groups" || slices.Contains(supported, scope) {
			ask = append(ask, scope)
		}
	}
	add("profile")
	if c.UsernameClaim == "email" {
		add("email")
	}
	if c.GroupsClaim != "" {
		add("groups")
	}
	return ask
}

// Known says whether evidence that was once taken for who still would be: the
// password, the token or the issuer is one that the configuration has; by other
// evidence, the user or one of the groups is in it.
func (d *Directory) Known(who *Identity) bool {
	if who.setting != [32]byte{} {
		return who.setting == d.passwords.setting(who.User) ||
			slices.ContainsFunc(d.tokens, func(t token) bool { return t.user == who.User && t.sum == who.setting }) ||
			d.issuer != nil && who.setting == d.issuer.setting() && d.has(who)
	}
	return d.has(who)
}

// has says whether the configuration names the user or gives one of the
// groups something.
func (d *Directory) has(who *Identity) bool {
	if _, ok := d.users[who.User]; ok {
		return true
	}
	return slices.ContainsFunc(who.Groups, func(g string) bool { return len(d.groups[g].Roles) > 0 })
}

// setting is what stands for the issuer in an Identity.
func (c *OIDC) setting() [32]byte { return sha256.Sum256([]byte(c.Issuer + "\x00" + c.ClientID)) }
