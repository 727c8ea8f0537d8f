Feature: Validating a token
  The shop asks whether a visitor may shop now. A token serves its own visitor, in its own room,
  while the visitor is inside.

  Rule: Whoever is inside is let pass

    Scenario Outline: A visitor who is <status>
      Given a waiting room
      And Ann is <status>
      When Ann validates
      Then the answer is 200

      Examples:
        | status |
        | READY  |
        | ACTIVE |

    Scenario: The ticket from the entrance serves as well, once its turn has come
      Given a waiting room
      And Ann is READY
      When Ann validates with the ticket
      Then the answer is 200

    Scenario: Asking changes nothing, however often
      Given a waiting room
      And Ann is READY
      When Ann asks for the status
      And Ann validates from 5 devices at once
      And Ann validates again
      Then the answer is 200
      When Ann asks for the status
      Then status, expiredAt, extendCount, token are as before

  Rule: Nobody else is

    Scenario: A visitor who waits
      Given a waiting room that lets nobody in
      And Ann is WAITING
      When Ann validates
      Then the call is refused with 401 Q003

    Scenario: A visitor whose time is over
      Given a waiting room
      And Ann is EXPIRED
      When Ann validates
      Then the call is refused with 401 Q002
      And the message reads "The token has expired."

    Scenario: A forged token
      Given a waiting room
      And Ann is READY
      When Ann validates with a forged token
      Then the call is refused with 401 Q003

    Scenario: Another visitor's token
      Given a waiting room
      And Ann is READY
      And Ben is READY
      When Ann validates with Ben's token
      Then the call is refused with 401 Q003

    Scenario: The visitor's token of another concert
      Given a waiting room
      And Ann is READY
      And Ann enters another waiting room too
      When Ann validates with the token of another waiting room
      Then the call is refused with 401 Q003

    Scenario: The token of an earlier stay
      Given a waiting room
      And Ann has left and is READY again
      When Ann validates with the ticket of the stay before
      Then the call is refused with 401 Q003

    Scenario: A known visitor without a token
      Given a waiting room
      And Ann is READY
      When Ann validates without token
      Then the call is refused with 401 Q003

    Scenario: A stranger without a token
      Given a waiting room
      When Ann validates
      Then the call is refused with 404 Q001
      And the message reads "This visitor is not in the line."

    Scenario: A stranger with somebody's token
      Given a waiting room
      And Ben is READY
      When Ann validates with Ben's token
      Then the call is refused with 401 Q003

  Rule: The question must be whole

    Scenario: An empty token
      Given a waiting room
      And Ann is READY
      When Ann validates with token = ""
      Then the call is refused with 400 C001
      And the refusal names token

    Scenario Outline: Without <field>
      Given a waiting room
      And Ann is READY
      When Ann validates without <field>
      Then the call is refused with 400 C001
      And the refusal names <field>

      Examples:
        | field     |
        | concertId |
        | userId    |
