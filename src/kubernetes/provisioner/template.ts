/** `${token}` in the names of secrets. */

/**
 * Fills the tokens in. Throws for one that `values` has not: a secret's name with a hole in it would be another's name. A
 * `$` that begins no token is refused too, for the upstream provisioner reads it as one.
 */
export function fillTemplate(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\$(?:\{([^}]*)\})?/g, (_whole, token: string | undefined) => {
    const value = token === undefined ? undefined : Object.hasOwn(values, token) ? values[token] : undefined;
    if (value !== undefined) return value;
    throw new Error(
      `"${template}" asks for ${token === undefined ? "a token without a name" : `\${${token}}`}, which is not known`,
    );
  });
}
