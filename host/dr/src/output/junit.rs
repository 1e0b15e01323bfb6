//! Results of scenarios as JUnit XML, which build servers read.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::test::{ScenarioResult, Totals, Verdict};

/// One suite with a test case for each scenario.
pub(crate) fn render(results: &[ScenarioResult], totals: &Totals) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let counts = [("tests", totals.scenarios.to_string()), ("failures", totals.failed.to_string())];
    let counts = counts.each_ref().map(|(name, count)| (*name, count.as_str()));
    let suite = xml.create_element("testsuite").with_attribute(("name", "dr test")).with_attributes(counts);
    suite.write_inner_content(|xml| results.iter().try_for_each(|result| write_case(xml, result)))?;
    let mut file = xml.into_inner();
    file.push(b'\n');
    Ok(file)
}

fn write_case(xml: &mut Writer<Vec<u8>>, result: &ScenarioResult) -> io::Result<()> {
    let (path, seconds) = (result.path.display().to_string(), format!("{:.6}", result.seconds));
    let attributes = [("name", result.name.as_str()), ("classname", path.as_str()), ("time", seconds.as_str())];
    let case = xml.create_element("testcase").with_attributes(attributes);
    if result.result != Verdict::Failed {
        return case.write_empty().map(drop);
    }
    let differences = result.differences.iter().map(ToString::to_string);
    let problems: Vec<String> =
        differences.chain(result.broken.iter().cloned()).map(|words| printable(&words)).collect();
    let message = problems.first().map(String::as_str).unwrap_or_default();
    case.write_inner_content(|xml| {
        let failure = xml.create_element("failure").with_attribute(("message", message));
        failure.write_text_content(BytesText::new(&problems.join("\n"))).map(drop)
    })?;
    Ok(())
}

/// XML has no way to write most control characters.
fn printable(words: &str) -> String {
    super::text::shown(words)
}
