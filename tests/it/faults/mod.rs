//! What a server cannot be asked for: the operator is connected through a relay that disturbs it, and arrives all the
//! same, with no route that ever named what was not ready.

mod answers;
mod connections;
mod server;
mod tokens;
mod watches;

use serde_json::{Value, json};

use crate::support::manifest::{ready_after, release, version};
use crate::support::relay::Relay;
use crate::support::safety::SafetyWatch;
use crate::support::{SOON, Test, equal};

/// A version that takes a moment to be ready.
fn slow(image: &str) -> Value {
    ready_after(image, "300ms")
}

fn web(versions: &[Value]) -> Value {
    release("web", "deployment-istio", "blue-green", versions)
}

/// Release `web`, which is routed, and somebody who watches over its route.
struct Story {
    test: Test,
    watch: SafetyWatch,
}

impl Story {
    /// With an operator that is connected through a relay.
    #[track_caller]
    fn begin(name: &str) -> (Self, Relay) {
        let (test, relay) = Test::through_relay(name);
        (Self::of(test), relay)
    }

    /// The first version is ready.
    #[track_caller]
    fn of(test: Test) -> Self {
        test.apply(&web(&[version("web:1")]).to_string());
        test.wait_ready("release/web");
        let watch = test.watch_safety();
        Self { test, watch }
    }

    /// A user adds a version, and changes it before it is ready.
    #[track_caller]
    fn edit(&self) {
        self.test.apply(&web(&[version("web:1"), slow("web:2")]).to_string());
        self.test.apply(&web(&[version("web:1"), slow("web:3")]).to_string());
    }

    /// What the user asked for is so, and so is what is asked for next: that the new version takes the other's place.
    #[track_caller]
    fn arrives(&self) {
        self.runs("web-1", "web:3");
        self.test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
        self.is_ready();
        self.test.apply(&web(&[slow("web:3")]).to_string());
        self.test.gone("deployment", "web-1");
        self.runs("web-0", "web:3");
        self.test.shares_become("web", &[("web-0", 100)]);
        self.is_ready();
        self.watch.assert_safe();
    }

    #[track_caller]
    fn runs(&self, deployment: &str, image: &str) {
        let image_of = |object: &Value| object["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        let what = format!("{deployment} runs {image}");
        self.test.wait_until(&what, 2 * SOON, || {
            let object = self.test.find("deployment", deployment).ok_or("there is none")?;
            equal(image_of(&object), &json!(image))
        });
    }

    #[track_caller]
    fn is_ready(&self) {
        self.test.wait_until("the Release is ready", 2 * SOON, || {
            equal(self.test.release("web").ready_reason(), "Ready")
        });
    }
}
