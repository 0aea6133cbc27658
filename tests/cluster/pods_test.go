package main

import (
	"strings"
	"testing"
	"time"
)

// Annotations that decide what becomes of a pod (see README.md).
const (
	readyAfter = "kwok.iter8.tools/ready-after"
	neverReady = "kwok.iter8.tools/never-ready"
	unready    = "kwok.iter8.tools/unready"
	fails      = "kwok.iter8.tools/fails"
	stopAfter  = "kwok.iter8.tools/stop-after"
)

func TestPods(t *testing.T) {
	c := up(t, t.TempDir(), "pods")
	c.deploy("never", 1, map[string]string{neverReady: "true"})
	c.deploy("held", 1, map[string]string{readyAfter: "6s"})
	c.deploy("image", 1, map[string]string{fails: "ImagePullBackOff"})
	c.deploy("crash", 1, map[string]string{fails: "CrashLoopBackOff"})
	c.wait("jsonpath={.status.phase}=Running", "pod", "--selector=app in (never, held, crash)")
	c.wait("jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff", "pod", "--selector=app=image")
	// Held back while the delay runs: it must not become Ready when that is over, which it is when a later one's is.
	c.ctl("annotate", "pod", "--selector=app=held", unready+"=true")

	start := time.Now()
	c.deploy("plain", 3, nil)
	c.wait("condition=Available", "deployment/plain")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a plain Deployment took %v", took)
	}
	start = time.Now()
	c.deploy("late", 1, map[string]string{readyAfter: "6s"})
	c.wait("condition=Available", "deployment/late")
	if took := time.Since(start); took < 6*time.Second || took > 15*time.Second {
		t.Errorf("ready-after: 6s took %v", took)
	}

	notReady := c.ctl("get", "pods", `--output=jsonpath={range .items[?(@.status.containerStatuses[0].ready==false)]}{.metadata.labels.app} {end}`)
	if want := "crash held image never"; strings.TrimSpace(notReady) != want {
		t.Errorf("not Ready are %q, want %q", notReady, want)
	}
	for pod, count := range c.statusPatches() {
		want := 1
		if strings.HasPrefix(pod, "late-") {
			want = 2
		}
		if count != want {
			t.Errorf("kwok wrote %s %d times, want %d", pod, count, want)
		}
	}
}

func TestUnreadyAndBack(t *testing.T) {
	c := up(t, t.TempDir(), "toggle")
	c.deploy("app", 2, nil)
	c.wait("condition=Available", "deployment/app")
	for _, annotation := range []string{unready + "=true", neverReady + "=true", fails + "=CrashLoopBackOff"} {
		c.ctl("annotate", "pod", "--selector=app=app", annotation)
		c.wait("condition=Available=False", "deployment/app")
		c.ctl("annotate", "pod", "--selector=app=app", strings.Split(annotation, "=")[0]+"-")
		c.wait("condition=Available", "deployment/app")
	}
	for pod, count := range c.statusPatches() {
		if want := 1 + 3*2; count != want {
			t.Errorf("kwok wrote %s %d times, want %d", pod, count, want)
		}
	}
}

func TestDeletion(t *testing.T) {
	c := up(t, t.TempDir(), "deletion")
	c.deploy("quick", 2, nil)
	c.deploy("slow", 1, map[string]string{stopAfter: "2s"})
	c.wait("condition=Available", "deployment/quick", "deployment/slow")
	// In the background: the ReplicaSet and the pods go because their owner has gone.
	start := time.Now()
	c.ctl("delete", "deployment/quick", "--cascade=background")
	c.wait("delete", "replicaset,pod", "--selector=app=quick")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("pods without stop-after took %v to go", took)
	}
	start = time.Now()
	c.ctl("delete", "pod", "--selector=app=slow")
	if took := time.Since(start); took < 2*time.Second || took > 10*time.Second {
		t.Errorf("stop-after: 2s took %v", took)
	}
	c.ctl("create", "job", "work", "--image=example/work:1")
	c.wait("condition=Complete", "job/work")
}
