"""The methods of `Kopuro`, by the noun that they are about. `kopuro_client.client` puts them together."""
