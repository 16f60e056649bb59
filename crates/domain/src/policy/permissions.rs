//! The permit table: every method of the hub × every asker class, as data, deny by default.
//!
//! The server refuses to start when it serves a method that has no row here, and the matrix test is generated from it.

use super::client::{Class, Reach};
use crate::closed::closed;

closed! {
    /// A method of the hub, spelled as its full gRPC path.
    Method {
        /// One identity, one measure.
        Check = "/xinhub.v1.LookupService/Check",
        /// Many identities, one measure.
        BatchCheck = "/xinhub.v1.LookupService/BatchCheck",
        /// Many checks over one stream.
        CheckStream = "/xinhub.v1.LookupService/CheckStream",
        /// Lifts of the last weeks, by case.
        ListAnnouncements = "/xinhub.v1.LookupService/ListAnnouncements",
        /// One listing in detail.
        GetListing = "/xinhub.v1.LookupService/GetListing",
        /// A court's own listings.
        ListListings = "/xinhub.v1.LookupService/ListListings",
        /// Opens a listing with the risk notice.
        Notice = "/xinhub.v1.RegistryService/Notice",
        /// Proposes a listing.
        Propose = "/xinhub.v1.RegistryService/Propose",
        /// Releases a proposed listing.
        Approve = "/xinhub.v1.RegistryService/Approve",
        /// Refuses a proposed listing.
        Reject = "/xinhub.v1.RegistryService/Reject",
        /// Takes back what isn't served yet.
        Withdraw = "/xinhub.v1.RegistryService/Withdraw",
        /// Lists in one step.
        Publish = "/xinhub.v1.RegistryService/Publish",
        /// Records service of the decision.
        Serve = "/xinhub.v1.RegistryService/Serve",
        /// Corrects data that identify nobody.
        Amend = "/xinhub.v1.RegistryService/Amend",
        /// Corrects wrong data, identities included.
        Rectify = "/xinhub.v1.RegistryService/Rectify",
        /// Masks for now.
        Hide = "/xinhub.v1.RegistryService/Hide",
        /// Brings a hidden listing back.
        Restore = "/xinhub.v1.RegistryService/Restore",
        /// Undoes a wrong listing.
        Revoke = "/xinhub.v1.RegistryService/Revoke",
        /// Ends a listing.
        Remove = "/xinhub.v1.RegistryService/Remove",
        /// Lengthens a fixed term.
        Extend = "/xinhub.v1.RegistryService/Extend",
        /// Exempts one person for a time.
        Exempt = "/xinhub.v1.RegistryService/Exempt",
        /// Ends an exemption early.
        EndExemption = "/xinhub.v1.RegistryService/EndExemption",
        /// Names a related person.
        SetRelation = "/xinhub.v1.RegistryService/SetRelation",
        /// Ends a relation.
        EndRelation = "/xinhub.v1.RegistryService/EndRelation",
        /// Lengthens a grace period.
        WidenGrace = "/xinhub.v1.RegistryService/WidenGrace",
        /// Gives the reason that a lift owes.
        GiveReason = "/xinhub.v1.RegistryService/GiveReason",
        /// Records that the obligation was performed.
        RecordPerformance = "/xinhub.v1.RegistryService/RecordPerformance",
        /// Takes a file in the courts' own layout.
        ImportListings = "/xinhub.v1.RegistryService/ImportListings",
        /// Imports that wait for their release.
        ListImports = "/xinhub.v1.RegistryService/ListImports",
        /// What a waiting import would change.
        PreviewImport = "/xinhub.v1.RegistryService/PreviewImport",
        /// Releases a waiting import.
        ApproveImport = "/xinhub.v1.RegistryService/ApproveImport",
        /// Lifts what a complete list doesn't name.
        ConfirmImport = "/xinhub.v1.RegistryService/ConfirmImport",
        /// Refuses a waiting import.
        RejectImport = "/xinhub.v1.RegistryService/RejectImport",
        /// Takes a petition in.
        FilePetition = "/xinhub.v1.RemedyService/FilePetition",
        /// Refuses a petition's intake.
        RefuseIntake = "/xinhub.v1.RemedyService/RefuseIntake",
        /// Decides a petition.
        DecidePetition = "/xinhub.v1.RemedyService/DecidePetition",
        /// Records service of a finding.
        ServeFinding = "/xinhub.v1.RemedyService/ServeFinding",
        /// The party asks the court above.
        AskReconsideration = "/xinhub.v1.RemedyService/AskReconsideration",
        /// The court above decides.
        DecideReconsideration = "/xinhub.v1.RemedyService/DecideReconsideration",
        /// The party takes its petition back.
        WithdrawPetition = "/xinhub.v1.RemedyService/WithdrawPetition",
        /// One petition.
        GetPetition = "/xinhub.v1.RemedyService/GetPetition",
        /// Petitions that the caller may read.
        ListPetitions = "/xinhub.v1.RemedyService/ListPetitions",
        /// What falls due, is due and is overdue.
        ListDeadlines = "/xinhub.v1.RemedyService/ListDeadlines",
        /// The catalogue of measures.
        ListMeasures = "/xinhub.v1.MeasureService/ListMeasures",
        /// What a client imposed, lifted or keeps.
        Report = "/xinhub.v1.MeasureService/Report",
        /// A client's own duties.
        ListDuties = "/xinhub.v1.MeasureService/ListDuties",
        /// All that concerns one subject, for whoever acts for it.
        ViewSubject = "/xinhub.v1.AuditService/ViewSubject",
        /// Keeps who asked out of a subject's view for a time.
        DeferView = "/xinhub.v1.AuditService/DeferView",
        /// A signed statement that no listing in force reaches a subject.
        IssueCertificate = "/xinhub.v1.AuditService/IssueCertificate",
        /// Numbers by court and month.
        GetStatistics = "/xinhub.v1.AuditService/GetStatistics",
        /// What a replica has answered by itself.
        ReportAnswers = "/xinhub.v1.AuditService/ReportAnswers",
        /// What a replica begins with.
        GetManifest = "/xinhub.v1.SyncService/GetManifest",
        /// A replica's snapshot.
        FetchChunks = "/xinhub.v1.SyncService/FetchChunks",
        /// Lifts, as they come.
        FollowLifts = "/xinhub.v1.SyncService/FollowLifts",
        /// Changes, as they come.
        FollowChanges = "/xinhub.v1.SyncService/FollowChanges",
        /// Ends a replica's subscription.
        Unsubscribe = "/xinhub.v1.SyncService/Unsubscribe",
        /// Who has confirmed a lift.
        GetLiftStatus = "/xinhub.v1.SyncService/GetLiftStatus",
        /// The hub's state.
        GetStatus = "/xinhub.v1.AdminService/GetStatus",
        /// The replicas that lifts wait for.
        ListSubscribers = "/xinhub.v1.AdminService/ListSubscribers",
        /// Ends the subscription of a replica that is gone.
        EndSubscriber = "/xinhub.v1.AdminService/EndSubscriber",
        /// Whether the hub serves.
        HealthCheck = "/grpc.health.v1.Health/Check",
        /// Whether the hub serves, as it changes.
        HealthWatch = "/grpc.health.v1.Health/Watch",
        /// What the hub serves, for tools.
        Reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    }
}

/// What kind of permit a method's handler works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A known client: no data of anybody's.
    Session,
    /// A granted measure, and the reach `online`.
    Lookup,
    /// Reading listings: a court its own, anyone else with the reach `detail`.
    Detail,
    /// Changing a court's own listings.
    Registry,
    /// Taking in and deciding what parties ask, and the clocks of it.
    Remedy,
    /// Reporting what was done with a listing.
    Unit,
    /// Acting for the person or organisation concerned.
    Subject,
    /// Keeping a replica of one's audience.
    Sync,
    /// The hub's own state.
    Admin,
}

/// One method's row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// What its handler demands.
    pub demand: Demand,
    /// The classes that may call it.
    pub classes: &'static [Class],
    /// Whether it only ever takes a restriction away, so that a pinned court may call it past its CRL's expiry.
    pub is_lift: bool,
}

const COURTS: &[Class] = &[Class::Court];
const ASKERS: &[Class] = &[
    Class::Court,
    Class::Unit,
    Class::Bank,
    Class::Insurer,
    Class::Hotel,
    Class::TravelAgency,
    Class::Ticketing,
    Class::ProcurementPlatform,
    Class::CreditBureau,
];
const READERS: &[Class] =
    &[Class::Court, Class::Unit, Class::Bank, Class::Insurer, Class::ProcurementPlatform, Class::CreditBureau];
/// Classes that may keep a replica. Which of its reaches, the grant says; a caller of one bit never holds the list itself.
const REPLICATORS: &[Class] = REPORTERS;
const INTAKES: &[Class] = &[Class::Court, Class::Unit];
const REPORTERS: &[Class] = &[
    Class::Unit,
    Class::Bank,
    Class::Insurer,
    Class::Hotel,
    Class::TravelAgency,
    Class::Ticketing,
    Class::ProcurementPlatform,
    Class::CreditBureau,
];
const CLOCK_READERS: &[Class] = &[
    Class::Court,
    Class::Unit,
    Class::Bank,
    Class::Insurer,
    Class::Hotel,
    Class::TravelAgency,
    Class::Ticketing,
    Class::ProcurementPlatform,
    Class::CreditBureau,
    Class::Auditor,
    Class::Operator,
];
const WATCHERS: &[Class] = &[Class::Operator, Class::Auditor];
const ACCOUNTABLE: &[Class] = &[Class::Court, Class::Auditor, Class::Operator];

/// Of the methods about waiting imports, petitions, duties and what is public, those that only read.
const READS: &[Method] = &[
    Method::ListImports,
    Method::PreviewImport,
    Method::GetPetition,
    Method::ListPetitions,
    Method::ListDeadlines,
    Method::ListMeasures,
    Method::ListDuties,
    Method::ListAnnouncements,
    Method::GetStatistics,
];

/// The table, in the order of [`Method::ALL`].
pub const TABLE: &[Row] = &[
    row(Method::Check, Demand::Lookup, ASKERS),
    row(Method::BatchCheck, Demand::Lookup, ASKERS),
    row(Method::CheckStream, Demand::Lookup, ASKERS),
    // The plan wants them public: whoever can call the hub may read them.
    row(Method::ListAnnouncements, Demand::Unit, Class::ALL),
    row(Method::GetListing, Demand::Detail, READERS),
    // Page by page through everybody who is listed: nobody's purpose but the court's that listed them.
    row(Method::ListListings, Demand::Detail, COURTS),
    row(Method::Notice, Demand::Registry, COURTS),
    row(Method::Propose, Demand::Registry, COURTS),
    row(Method::Approve, Demand::Registry, COURTS),
    row(Method::Reject, Demand::Registry, COURTS),
    row(Method::Withdraw, Demand::Registry, COURTS),
    row(Method::Publish, Demand::Registry, COURTS),
    row(Method::Serve, Demand::Registry, COURTS),
    row(Method::Amend, Demand::Registry, COURTS),
    // A lift for whom it frees, but a listing for whom it names instead: not past a CRL's expiry.
    row(Method::Rectify, Demand::Registry, COURTS),
    lift(Method::Hide),
    row(Method::Restore, Demand::Registry, COURTS),
    lift(Method::Revoke),
    lift(Method::Remove),
    row(Method::Extend, Demand::Registry, COURTS),
    lift(Method::Exempt),
    row(Method::EndExemption, Demand::Registry, COURTS),
    row(Method::SetRelation, Demand::Registry, COURTS),
    lift(Method::EndRelation),
    lift(Method::WidenGrace),
    row(Method::GiveReason, Demand::Registry, COURTS),
    row(Method::RecordPerformance, Demand::Registry, COURTS),
    row(Method::ImportListings, Demand::Registry, COURTS),
    row(Method::ListImports, Demand::Registry, COURTS),
    row(Method::PreviewImport, Demand::Registry, COURTS),
    row(Method::ApproveImport, Demand::Registry, COURTS),
    row(Method::ConfirmImport, Demand::Registry, COURTS),
    row(Method::RejectImport, Demand::Registry, COURTS),
    row(Method::FilePetition, Demand::Remedy, INTAKES),
    row(Method::RefuseIntake, Demand::Remedy, COURTS),
    // A court, of objections and applications; the client that a complaint is against, of that complaint.
    row(Method::DecidePetition, Demand::Remedy, ASKERS),
    row(Method::ServeFinding, Demand::Remedy, COURTS),
    row(Method::AskReconsideration, Demand::Remedy, INTAKES),
    row(Method::DecideReconsideration, Demand::Remedy, COURTS),
    row(Method::WithdrawPetition, Demand::Remedy, INTAKES),
    row(Method::GetPetition, Demand::Remedy, ASKERS),
    row(Method::ListPetitions, Demand::Remedy, ASKERS),
    row(Method::ListDeadlines, Demand::Remedy, CLOCK_READERS),
    row(Method::ListMeasures, Demand::Unit, ASKERS),
    row(Method::Report, Demand::Unit, REPORTERS),
    row(Method::ListDuties, Demand::Unit, REPORTERS),
    row(Method::ViewSubject, Demand::Subject, INTAKES),
    row(Method::DeferView, Demand::Registry, COURTS),
    row(Method::IssueCertificate, Demand::Subject, INTAKES),
    row(Method::GetStatistics, Demand::Remedy, ACCOUNTABLE),
    row(Method::ReportAnswers, Demand::Unit, REPLICATORS),
    row(Method::GetManifest, Demand::Sync, REPLICATORS),
    row(Method::FetchChunks, Demand::Sync, REPLICATORS),
    row(Method::FollowLifts, Demand::Sync, REPLICATORS),
    row(Method::FollowChanges, Demand::Sync, REPLICATORS),
    row(Method::Unsubscribe, Demand::Sync, REPLICATORS),
    // Numbers of replicas, and nobody's data.
    row(Method::GetLiftStatus, Demand::Admin, ACCOUNTABLE),
    row(Method::GetStatus, Demand::Admin, WATCHERS),
    row(Method::ListSubscribers, Demand::Admin, WATCHERS),
    row(Method::EndSubscriber, Demand::Admin, &[Class::Operator]),
    row(Method::HealthCheck, Demand::Session, Class::ALL),
    row(Method::HealthWatch, Demand::Session, Class::ALL),
    row(Method::Reflection, Demand::Session, &[Class::Operator]),
];

const fn row(method: Method, demand: Demand, classes: &'static [Class]) -> Row {
    Row { method, demand, classes, is_lift: false }
}

const fn lift(method: Method) -> Row {
    Row { method, demand: Demand::Registry, classes: COURTS, is_lift: true }
}

impl Method {
    /// The full gRPC path, as in an HTTP/2 `:path`.
    pub fn path(self) -> &'static str {
        self.as_str()
    }

    /// The method of this path; `None` for what the table doesn't know, which nobody may call.
    pub fn from_path(path: &str) -> Option<Method> {
        Method::parse(path)
    }

    /// Its row.
    pub fn row(self) -> &'static Row {
        // The table is in the order of the definition; a test compares them.
        &TABLE[self as usize]
    }

    /// Whether it changes what the hub keeps: what was done stays done, whatever becomes of its record.
    pub fn writes(self) -> bool {
        match self.row().demand {
            Demand::Registry | Demand::Remedy | Demand::Unit => !READS.contains(&self),
            Demand::Session | Demand::Lookup | Demand::Detail | Demand::Subject | Demand::Sync | Demand::Admin => false,
        }
    }

    /// Whether the class may call it at all.
    pub fn is_open_to(self, class: Class) -> bool {
        self.row().classes.contains(&class)
    }

    /// The reach that the class needs for it.
    pub fn reach(self, class: Class) -> Option<Reach> {
        match (self.row().demand, class) {
            (Demand::Lookup, _) => Some(Reach::Online),
            // A court reads its own listings by right.
            (Demand::Detail, Class::Court)
            | (
                Demand::Session
                | Demand::Registry
                | Demand::Remedy
                | Demand::Unit
                | Demand::Subject
                // Either reach of a replica will do; the permit says which there are.
                | Demand::Sync
                | Demand::Admin,
                _,
            ) => None,
            (
                Demand::Detail,
                Class::Unit
                | Class::Bank
                | Class::Insurer
                | Class::Hotel
                | Class::TravelAgency
                | Class::Ticketing
                | Class::ProcurementPlatform
                | Class::CreditBureau
                | Class::Auditor
                | Class::Operator,
            ) => Some(Reach::Detail),
        }
    }
}
