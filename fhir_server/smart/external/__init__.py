"""Trusting an OpenID provider outside, which issues the tokens: docs/external-openid.md."""
