//! What verified claims say: scopes, groups and the client.

use std::collections::HashMap;

/// The most characters of a client's name.
const MAX_CLIENT: usize = 255;

/// Every scope of a token. A string holds them separated by spaces. `scp` may also be a list, which the gateway turns into one
/// string, `[a b]`. Any other character can be part of a scope's name (RFC 6749, 3.3), even a comma or a bracket.
pub fn scopes(claims: &HashMap<String, String>) -> Vec<&str> {
    let (scope, scp) = (text(claims, "scope"), text(claims, "scp"));
    let in_strings = [scope, if list(scp).is_some() { "" } else { scp }].into_iter().flat_map(|text| text.split(' '));
    in_strings.chain(items(scp)).collect()
}

/// The groups of a user of Amazon Cognito. The claim is a list.
pub fn groups(claims: &HashMap<String, String>) -> Vec<&str> {
    items(text(claims, "cognito:groups")).collect()
}

/// The client that the token was issued to: `client_id` (RFC 9068, Cognito), else `azp` (`OpenID` Connect). A text that can't be
/// stored counts as absent.
pub fn client(claims: &HashMap<String, String>) -> Option<String> {
    let named = ["client_id", "azp"].into_iter().map(|name| text(claims, name)).find(|text| !text.is_empty())?;
    (named.chars().count() <= MAX_CLIENT && !named.contains(char::is_control)).then(|| named.to_owned())
}

fn text<'a>(claims: &'a HashMap<String, String>, name: &str) -> &'a str {
    claims.get(name).map_or("", String::as_str)
}

/// The inside of a list, as the gateway writes it.
fn list(text: &str) -> Option<&str> {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
}

/// The items of a list; none if the text is no list.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let items = list(text).unwrap_or_default().split(' ');
    items.map(|item| item.strip_suffix(',').unwrap_or(item)).filter(|item| !item.is_empty())
}
