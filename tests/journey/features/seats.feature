Feature: Looking at the seats
  Only those whom the waiting room has let in see what is left.

  Scenario: The seats that are left
    Given a concert with the seats A-1, A-2
    And Ann is READY
    When Ann lists the seats
    Then the answer is 200
    And 2 seats are listed
    And the answer says
      | seatId     | some      |
      | scheduleId | some      |
      | seatNumber | A-1       |
      | grade      | VIP       |
      | price      | 50000     |
      | status     | AVAILABLE |

  Scenario: Seats that are held or sold are not among them
    Given a concert with the seats A-1, A-2, A-3
    And Ann has paid for seat A-1
    And Ben holds seat A-2
    Then Ben is offered the seats A-3
    And Ben sees that seat A-1 is OCCUPIED
    And Ben sees that seat A-2 is RESERVED
    And Ben sees that seat A-3 is AVAILABLE

  Scenario: Whoever has the newest list is not sent it again
    Given a concert with the seats A-1
    And Ann is ACTIVE
    When Ann lists the seats
    And Ann lists the seats with what was learned before
    Then the answer is 304

  Scenario: A visitor who waits sees none
    Given a concert with the seats A-1, for 1 visitor at a time
    And Ann is READY
    And Ben is WAITING
    When Ben lists the seats
    Then the call is refused with 401 Q003

  Scenario: Another visitor's token shows none
    Given a concert with the seats A-1
    And Ann is READY
    And Ben is READY
    When Ben lists the seats with Ann's token
    Then the call is refused with 401 Q003

  Scenario Outline: Without <header>
    Given a concert with the seats A-1
    And Ann is READY
    When Ann lists the seats without <header>
    Then the call is refused with 401 C002
    And the message reads "Authentication is required."

    Examples:
      | header        |
      | X-User-Id     |
      | X-Queue-Token |

  Scenario: A user whose name is blank
    Given a concert with the seats A-1
    And Ann is READY
    When Ann lists the seats with X-User-Id = "%20"
    Then the call is refused with 400 C001
    And the refusal names X-User-Id
