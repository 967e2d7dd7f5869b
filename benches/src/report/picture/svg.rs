//! Rectangles and text as SVG, readable on light and on dark pages, with the reader's own fonts.

use std::fmt::Write as _;

/// A picture that grows.
pub(super) struct Svg {
    width: f64,
    height: f64,
    content: String,
}

/// Without a background: the page's own shows. The colours of text turn with the page; those of bars stand out from both.
const STYLE: &str = "\
text{font:12px -apple-system,BlinkMacSystemFont,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.title{font-weight:600;font-size:14px}.faint{fill:#59636e;font-size:11px}\
.us{fill:#2f81f7}.floor{fill:#8b949e}.peer{fill:#d29922}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}}";

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, content: String::new() }
    }

    /// Text that begins at `x`, on the line `y`.
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.line(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escaped(text)));
    }

    /// Text that ends at `x`.
    pub(super) fn text_to(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.line(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"end\">{}</text>",
            escaped(text)
        ));
    }

    /// A bar from `x` to the right.
    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        self.line(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" class=\"{class}\"/>"
        ));
    }

    /// The whole picture; `title` is for those who do not see it.
    pub(super) fn finish(self, title: &str) -> String {
        let Self { width, height, content } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n{content}</svg>\n"
        )
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.content, "{line}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_well_formed() {
        let mut svg = Svg::new(100.0, 50.0);
        svg.text(1.0, 2.0, "title", "a < b & \"c\"");
        svg.text_to(9.0, 2.0, "name", "us");
        svg.bar(3.0, 4.0, 5.25, 6.0, "us");
        let picture = svg.finish("<figures>");
        assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100\" height=\"50\""));
        assert!(picture.contains("<title>&lt;figures&gt;</title>"));
        assert!(picture.contains(">a &lt; b &amp; &quot;c&quot;</text>"));
        assert!(picture.contains("width=\"5.2\" height=\"6.0\""));
        assert_eq!(picture.matches('<').count(), picture.matches('>').count());
        assert!(picture.ends_with("</svg>\n"));
    }
}
