//! Groups and texts to everybody, as the users of real processes see them.

use crate::common::{json, server, together};

#[test]
fn a_group_is_made_joined_written_to_and_left() {
    let (_server, port) = server();
    let [mut alice, mut bob, mut carol] = together(["alice", "bob", "carol"], port);
    alice.say("create_group team");
    assert_eq!(alice.event("group"), json(r#"{"event":"group","group":"team","now":"created"}"#));
    for member in [&mut bob, &mut carol] {
        member.say("join_group TEAM");
        assert_eq!(member.event("group")["now"], "joined");
    }
    carol.say("dereg carol");
    carol.event("offline");
    alice.table(&["alice", "bob"]);

    alice.say("send_group team hello");
    let sending = alice.event("sending_many");
    assert_eq!(sending["to"], json(r#"["bob","carol"]"#));
    let message = bob.event("message");
    assert_eq!((&message["cast"], &message["group"]), (&sending["cast"], &json(r#""team""#)));
    let outcome = alice.event("outcome");
    assert_eq!((&outcome["received"], &outcome["saved"]), (&json("1"), &json("1")));

    carol.say("reg carol");
    assert_eq!(carol.event("message")["cast"], sending["cast"]);
    let read = alice.event("read_later");
    assert_eq!((&read["to"], &read["cast"]), (&json(r#""carol""#), &sending["cast"]));

    bob.say("leave_group team");
    assert_eq!(bob.event("group")["now"], "left");
    bob.say("send_group team again");
    assert!(bob.event("error")["text"].as_str().unwrap().contains("join_group team"));
    alice.say("list_members team");
    assert_eq!(alice.event("members")["members"], json(r#"["alice","carol"]"#));
    alice.say("list_groups");
    assert_eq!(alice.event("groups")["groups"], json(r#"["team"]"#));
}

#[test]
fn a_text_to_everybody_is_for_everybody_else() {
    let (_server, port) = server();
    let [mut alice, mut bob, mut carol] = together(["alice", "bob", "carol"], port);
    bob.say("send_all hello");
    for other in [&mut alice, &mut carol] {
        let message = other.event("message");
        assert_eq!((&message["text"], &message["group"]), (&json(r#""hello""#), &json("null")));
    }
    assert_eq!(bob.event("outcome")["received"], 2);
    bob.end_input();
    let lines = bob.ends_with(0);
    assert!(!lines.iter().any(|line| line.contains(r#""event":"message""#)));
}
