//! A user's own account: who changes its password, what is refused, and which sessions are over then.

use super::*;

const OTHER: &str = "another password";

impl Browser<'_> {
    /// Sends the form of the account's page, with what this session's forms carry.
    async fn changes(&self, current: &str, new: &str, again: &str) -> Reply {
        let plus = |text: &str| text.replace(' ', "+");
        let form = format!("csrf={}&current={}&new={}&again={}", self.csrf, plus(current), plus(new), plus(again));
        self.post("/account", &form).await
    }
}

#[tokio::test]
async fn a_user_changes_the_password_and_this_session_alone_goes_on() {
    let house = House::open().await;
    let (here, elsewhere, odo) = (house.browser("ada").await, house.browser("ada").await, house.browser("odo").await);
    let page = here.get("/account").await.text();
    assert!(page.contains("You are signed in as ada") && page.contains("autocomplete=\"new-password\""), "{page}");
    assert!(here.get("/new").await.text().contains("href=\"/account\""), "a link leads there");
    let changed = here.changes(PASSWORD, OTHER, OTHER).await;
    assert_eq!((changed.status, changed.location()), (303, "/account?changed=1"), "{}", changed.text());
    let cookie = changed.header("set-cookie").unwrap();
    assert!(cookie.starts_with("consilium=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let fresh = Browser { house: &house, cookie: cookie.split(';').next().unwrap().to_owned(), csrf: String::new() };
    assert_ne!(fresh.cookie, here.cookie);
    assert!(fresh.get(changed.location()).await.text().contains("Your password is changed"));
    assert_eq!(fresh.get("/new").await.status, 200, "with the role of before");
    assert_eq!((elsewhere.get("/new").await.status, here.get("/new").await.status), (303, 303));
    assert_eq!(odo.get("/sent").await.status, 200, "others stay");
    assert_eq!(house.sign_in("ada", PASSWORD).await.status, 401);
    assert_eq!(house.sign_in("ada", OTHER).await.status, 303);
    let users = Book::open(&house.root()).unwrap().users().unwrap();
    assert_eq!((users[0].name.as_str(), users[0].roles.words().as_str()), ("ada", "clinician"));
}

#[tokio::test]
async fn forms_of_before_are_void_and_a_password_is_changed_as_often_as_one_likes() {
    let house = House::open().await;
    let ada = house.browser("ada").await;
    let first = ada.changes(PASSWORD, OTHER, OTHER).await;
    let second = Browser {
        house: &house,
        cookie: first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned(),
        csrf: String::new(),
    };
    let page = second.get("/account").await.text();
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap()[..64].to_owned();
    assert_ne!(csrf, ada.csrf);
    assert_eq!(ada.changes(OTHER, PASSWORD, PASSWORD).await.status, 401);
    let second = Browser { csrf, ..second };
    assert_eq!(second.changes(OTHER, PASSWORD, PASSWORD).await.status, 303);
}

#[tokio::test]
async fn what_is_wrong_is_said_on_the_same_page_and_nothing_is_changed() {
    let house = House::open().await;
    let ada = house.browser("ada").await;
    let (short, long) = ("elevenchars", "x".repeat(257));
    for (current, new, again, status, words) in [
        (PASSWORD, OTHER, "another passwort", 422, "The two entries of the new password differ"),
        (PASSWORD, short, short, 422, "The new password has 11 characters"),
        (PASSWORD, &long, &long, 422, "The new password has 257 characters"),
        (PASSWORD, PASSWORD, PASSWORD, 422, "The new password is the current one"),
        ("wrong wrong wrong", OTHER, OTHER, 401, "The current password is wrong"),
    ] {
        let refused = ada.changes(current, new, again).await;
        let page = refused.text();
        assert_eq!((refused.status, refused.header("set-cookie")), (status, None), "{words}");
        assert!(page.contains(words) && page.contains("role=\"alert\"") && page.contains("name=\"again\""), "{page}");
        assert!(page.contains("aria-invalid=\"true\"") && !page.contains(OTHER) && !page.contains(short), "{page}");
    }
    assert_eq!(ada.get("/new").await.status, 200, "the session goes on");
    assert_eq!(house.sign_in("ada", PASSWORD).await.status, 303, "with the password of before");
    let german = format!("Cookie: {}; consilium-language=de\r\n", ada.cookie);
    assert!(house.request("GET /account", &german, b"").await.text().contains("Kennwort ändern"));
}

#[tokio::test]
async fn wrong_current_passwords_lock_the_name_as_they_do_at_the_door() {
    let house = House::open().await;
    let ada = house.browser("ada").await;
    for _ in 0..5 {
        assert_eq!(ada.changes("wrong wrong wrong", OTHER, OTHER).await.status, 401);
    }
    let locked = ada.changes(PASSWORD, OTHER, OTHER).await;
    assert_eq!(locked.status, 429);
    assert!(locked.text().contains("tried in vain too often") && locked.header("retry-after").is_some());
    assert_eq!(house.sign_in("ada", PASSWORD).await.status, 429, "and at the door");
    assert_eq!(ada.get("/new").await.status, 200, "whoever is in stays in");
}

#[tokio::test]
async fn a_form_of_nobody_of_another_session_or_of_one_who_was_taken_away_changes_nothing() {
    let house = House::open().await;
    assert!(house.get("/account").await.location().starts_with("/sign-in?next=%2Faccount"));
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(house.request("POST /account", kind, b"csrf=x").await.status, 401);
    let (ada, odo) = (house.browser("ada").await, house.browser("odo").await);
    let strange = Browser { csrf: odo.csrf.clone(), cookie: ada.cookie.clone(), house: &house };
    let refused = strange.changes(PASSWORD, OTHER, OTHER).await;
    assert!(refused.status == 403 && refused.text().contains("not from your session"), "{}", refused.text());
    assert_eq!(house.sign_in("ada", PASSWORD).await.status, 303);
    let book = Book::open(&house.root()).unwrap();
    book.remove_user("ada").unwrap();
    assert_eq!(ada.changes(PASSWORD, OTHER, OTHER).await.status, 401);
    assert_eq!(book.users().unwrap().len(), 2, "nobody is made anew");
}
