/** What was asked for cannot be done as it stands. Nothing was sent. */
export class ConfigurationError extends Error {}
