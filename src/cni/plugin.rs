//! What a plugin can be asked: the verbs that `serve` hands on and a program of ours carries out.

use super::error::CniError;
use super::request::Request;
use super::result::CniResult;

/// What a plugin can be asked.
pub trait Plugin {
    /// Puts a container on a network.
    ///
    /// # Errors
    /// Whatever went wrong; nothing is left behind then.
    fn add(&self, request: &Request) -> Result<CniResult, CniError>;
    /// Takes a container off; succeeds when there is nothing to take off.
    ///
    /// # Errors
    /// What could not be removed, after everything else was tried.
    fn del(&self, request: &Request) -> Result<(), CniError>;
    /// Tells whether everything is as ADD left it.
    ///
    /// # Errors
    /// What is not.
    fn check(&self, request: &Request) -> Result<(), CniError>;
    /// Removes what belongs to no attachment on the runtime's list.
    ///
    /// # Errors
    /// What could not be removed, after everything else was tried.
    fn gc(&self, request: &Request) -> Result<(), CniError>;
    /// Tells whether ADD can be served.
    ///
    /// # Errors
    /// Code 50 or 51 with the reason.
    fn status(&self, request: &Request) -> Result<(), CniError>;
}
