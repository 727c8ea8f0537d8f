Feature: Paying
  Whoever holds a seat pays its price, once, and the seat is theirs.

  Rule: The right payment buys the seat

    Scenario: The price
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays
      Then the answer is 201
      And the answer says
        | paymentId     | some      |
        | reservationId | some      |
        | amount        | 50000     |
        | status        | COMPLETED |
        | paymentMethod | CARD      |
        | paidAt        | some      |
        | createdAt     | some      |
      And Ann's reservation is CONFIRMED

    Scenario: A payment frees the visitor's slot
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays
      Then the answer is 201
      And Ann becomes NOT_FOUND

    Scenario: Whoever has paid may look at the payment
      Given a concert with the seats A-1
      And Ann has paid for seat A-1
      When Ann looks at the payment
      Then the answer is 200
      And the answer says
        | amount | 50000     |
        | status | COMPLETED |

    Scenario: Nobody else may
      Given a concert with the seats A-1, A-2
      And Ann has paid for seat A-1
      And Ben is READY
      And Ben knows the number of Ann's payment
      When Ben looks at the payment
      Then the call is refused with 404 P003

    Scenario: A payment that nobody has made
      Given a concert with the seats A-1
      And Ann is READY
      And Ann has made up the number of a payment
      When Ann looks at the payment
      Then the call is refused with 404 P003

    Scenario: A visitor whose time is over may still pay for what is held
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann's time runs out
      And Ann pays
      Then the answer is 201
      And Ann's reservation is CONFIRMED

  Rule: Nobody pays twice

    Scenario: Paying again
      Given a concert with the seats A-1
      And Ann has paid for seat A-1
      When Ann pays again
      Then the call is refused with 409 C005

    Scenario: Paying from five devices at once
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays from 5 devices at once
      Then 1 of the calls succeeds, the others are refused because of it
      And Ann's reservation is CONFIRMED

    Scenario: The same request under the same key gets the same answer
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays under the key first-try
      And Ann pays under the key first-try
      Then the answer is 201
      And the whole answer is as before

    Scenario: Another request under the same key is refused
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays under the key first-try
      And Ann pays the amount 1 under the key first-try
      Then the call is refused with 422 C001

  Rule: What cannot be paid is refused, and nobody is charged

    Scenario: A card that is declined
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays by a card that is declined
      Then the call is refused with 400 P001
      And the message reads "The payment failed."
      And Ann's reservation is PENDING
      And Ann sees that seat A-1 is RESERVED

    Scenario Outline: The amount <amount>
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays with amount = <amount>
      Then the call is refused with 400 C001
      And the refusal names amount
      And Ann's reservation is PENDING

      Examples:
        | amount  |
        | 49999   |
        | 50001   |
        | 0       |
        | -50000  |
        | "50000" |

    Scenario Outline: Without <field>
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann pays without <field>
      Then the call is refused with 400 C001
      And the refusal names <field>
      And Ann's reservation is PENDING

      Examples:
        | field         |
        | reservationId |
        | userId        |
        | amount        |
        | paymentMethod |
        | concertId     |

    Scenario: Another visitor's reservation
      Given a concert with the seats A-1, A-2
      And Ann holds seat A-1
      And Ben is READY
      And Ben knows the number of Ann's reservation
      When Ben pays
      Then the call is refused with 404 B004
      And Ann's reservation is PENDING

    Scenario: A reservation that nobody has made
      Given a concert with the seats A-1
      And Ann is READY
      And Ann has made up the number of a reservation
      When Ann pays
      Then the call is refused with 404 B004

    Scenario: A reservation that was cancelled
      Given a concert with the seats A-1
      And Ann holds seat A-1
      When Ann cancels the reservation
      And Ann pays
      Then the call is refused with 400 B005

    Scenario: A reservation that has expired
      Given a concert with the seats A-1, A-2, held unpaid for 1 second
      And Ann holds seat A-1
      Then Ann's reservation becomes EXPIRED
      And Ben soon holds seat A-1
      When Ann pays
      Then the call is refused with 409 B005
      And the message reads "The reservation is no longer valid."
