//! What can become of a command, and of the plugin that waits for it.

/// What a stand-in does at the call it is told, in place of the real program or around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Exits 1 with a message.
    Refuse,
    /// Does its work, then exits 1 with a message.
    RefuseAfterwards,
    /// Exits 1 with a message, and so do all behind it.
    Broken,
    /// Fails at one line of a batch, counted over all batches, as the real program does.
    Line,
    /// Prints what is no JSON, does nothing, exits 0.
    Garbage,
    /// Does its work, prints the beginning of a document, exits 0.
    Half,
    /// Never ends.
    Hang,
    /// Does its work and never ends.
    HangAfterwards,
    /// Kills the plugins that wait for it and does nothing.
    Kill,
    /// Kills the plugin that the runtime asked, then does its work: the runtime has lost patience.
    Orphan,
    /// Does its work and kills the plugins that wait for it.
    KillAfterwards,
    /// Sends SIGTERM to the plugin, then does its work.
    Term,
    /// Does its work, then sends SIGTERM to the plugin.
    TermAfterwards,
}

impl Fault {
    /// Its name in the script and in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::RefuseAfterwards => "refuse-afterwards",
            Self::Broken => "broken",
            Self::Line => "line",
            Self::Garbage => "garbage",
            Self::Half => "half",
            Self::Hang => "hang",
            Self::HangAfterwards => "hang-afterwards",
            Self::Kill => "kill",
            Self::Orphan => "orphan",
            Self::KillAfterwards => "kill-afterwards",
            Self::Term => "term",
            Self::TermAfterwards => "term-afterwards",
        }
    }

    /// Whether the plugin is killed.
    pub fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::Orphan | Self::KillAfterwards)
    }

    /// Whether the stand-in waits to be ended.
    pub fn hangs(self) -> bool {
        matches!(self, Self::Hang | Self::HangAfterwards)
    }
}
